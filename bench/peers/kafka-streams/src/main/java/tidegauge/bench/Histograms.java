package tidegauge.bench;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * All signals of one model and window as one array: for each signal its value bins, then the number
 * of events in which it was absent, then in which it was null.
 */
final class Histograms {
  private final String[] names;
  private final boolean[] isFeature;
  private final double[][] edges;
  private final Map<String, Integer>[] categories;
  private final int[] offsets;
  private final int size;

  @SuppressWarnings("unchecked")
  Histograms(List<Job.Signal> signals) {
    int n = signals.size();
    names = new String[n];
    isFeature = new boolean[n];
    edges = new double[n][];
    categories = new Map[n];
    offsets = new int[n + 1];
    for (int i = 0; i < n; i++) {
      Job.Signal signal = signals.get(i);
      names[i] = signal.name;
      isFeature[i] = signal.is_feature;
      edges[i] = signal.edges;
      int bins;
      if (signal.edges != null) {
        bins = signal.edges.length + 1;
      } else {
        categories[i] = new HashMap<>();
        for (String category : signal.categories) {
          categories[i].put(category, categories[i].size());
        }
        bins = signal.categories.size() + 1;
      }
      offsets[i + 1] = offsets[i] + bins + 2;
    }
    size = offsets[n];
  }

  long[] empty() {
    return new long[size];
  }

  long[] add(Event<?> event, long[] counts) {
    for (int i = 0; i < names.length; i++) {
      counts[offsets[i] + (isFeature[i] ? binOfFeature(i, event) : binOfOutput(i, event))]++;
    }
    return counts;
  }

  /** Every event is in one bin of the first signal. */
  long events(long[] counts) {
    return Arrays.stream(counts, 0, offsets[1]).sum();
  }

  private int binOfOutput(int i, Event<?> event) {
    return bin(edges[i], names[i].equals("prediction") ? event.prediction : event.latency_ms);
  }

  private int binOfFeature(int i, Event<?> event) {
    Object value = event.features.get(names[i]);
    if (value == null) {
      int absent = offsets[i + 1] - offsets[i] - 2;
      return event.features.containsKey(names[i]) ? absent + 1 : absent;
    }
    if (edges[i] != null) {
      return bin(edges[i], ((Number) value).doubleValue());
    }
    return categories[i].getOrDefault((String) value, categories[i].size());
  }

  /** Bin k holds edges[k-1] <= value < edges[k]. */
  private static int bin(double[] edges, double value) {
    int at = Arrays.binarySearch(edges, value);
    return at < 0 ? -at - 1 : at + 1;
  }

  static byte[] serialize(long[] counts) {
    ByteBuffer buffer = ByteBuffer.allocate(counts.length * Long.BYTES);
    buffer.asLongBuffer().put(counts);
    return buffer.array();
  }

  static long[] deserialize(byte[] bytes) {
    if (bytes == null) {
      return null;
    }
    long[] counts = new long[bytes.length / Long.BYTES];
    ByteBuffer.wrap(bytes).asLongBuffer().get(counts);
    return counts;
  }
}
