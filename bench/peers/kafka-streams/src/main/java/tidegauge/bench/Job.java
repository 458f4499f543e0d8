package tidegauge.bench;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import java.util.List;

/** What the harness asks for; see {@code Job} in bench/_job.py. */
@JsonIgnoreProperties(ignoreUnknown = true)
public final class Job {
  public String servers;
  public String topic;
  public String group;
  public long records;
  public long mark_every;
  public int window_seconds;
  public int grace_seconds;
  public boolean numeric_only;
  public List<Signal> signals;
  public String directory;
  public String result;

  /** A numeric signal has edges, a categorical one categories. */
  @JsonIgnoreProperties(ignoreUnknown = true)
  public static final class Signal {
    public String name;
    public boolean is_feature;
    public double[] edges;
    public List<String> categories;
  }
}
