package tidegauge.bench;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import java.util.Map;

/**
 * A prediction event. {@code F} is {@code Double} where every feature is a number, which Jackson
 * reads with less work than values of any type.
 */
@JsonIgnoreProperties(ignoreUnknown = true)
public final class Event<F> {
  public double time;
  public double prediction;
  public double latency_ms;
  public Map<String, F> features;
}
