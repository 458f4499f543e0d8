package tidegauge.bench;

import com.fasterxml.jackson.databind.JavaType;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.ReadOnlyWindowStore;
import org.apache.kafka.streams.state.Stores;

/** Counts a topic of prediction events into tumbling windows with one stream thread. */
public final class Main {
  private static final String STORE = "histograms";
  private static final Duration RETENTION = Duration.ofHours(2);
  private static final long PATIENCE_MS = 20_000;

  private final ObjectMapper mapper = new ObjectMapper();
  private final Job job;
  private final Histograms histograms;
  private volatile long seen;
  private volatile Throwable failure;

  private Main(String file) throws IOException {
    job = mapper.readValue(new File(file), Job.class);
    histograms = new Histograms(job.signals);
  }

  public static void main(String[] arguments) throws Exception {
    int code = new Main(arguments[0]).run();
    // Leaving the group in order is no part of the contest.
    Runtime.getRuntime().halt(code);
  }

  private int run() throws Exception {
    KafkaStreams streams = new KafkaStreams(topology(), properties());
    streams.setUncaughtExceptionHandler(
        error -> {
          failure = error;
          return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
    streams.start();
    while (seen < job.records) {
      if (failure != null) {
        failure.printStackTrace();
        return 1;
      }
      Thread.sleep(20);
    }
    mapper.writeValue(new File(job.result), counts(streams));
    return 0;
  }

  private Properties properties() {
    Properties properties = new Properties();
    properties.put(StreamsConfig.APPLICATION_ID_CONFIG, job.group);
    properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, job.servers);
    properties.put("auto.offset.reset", "earliest");
    properties.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
    properties.put(StreamsConfig.STATE_DIR_CONFIG, job.directory);
    properties.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1000);
    // Counts of a window are updated in this cache and go to store and changelog at a commit.
    properties.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 64 * 1024 * 1024L);
    // The default of 1,000 makes it slower.
    properties.put("max.poll.records", 5000);
    return properties;
  }

  private Topology topology() {
    Serde<Event<?>> events =
        Serdes.serdeFrom(
            (topic, event) -> {
              throw new UnsupportedOperationException("events are only read");
            },
            eventReader());
    Serde<long[]> counts =
        Serdes.serdeFrom(
            (topic, data) -> Histograms.serialize(data),
            (topic, data) -> Histograms.deserialize(data));
    StreamsBuilder builder = new StreamsBuilder();
    builder.stream(
            job.topic,
            Consumed.with(Serdes.String(), events)
                .withTimestampExtractor(
                    (record, time) -> (long) (((Event<?>) record.value()).time * 1000)))
        .groupByKey(Grouped.with(Serdes.String(), events))
        .windowedBy(
            TimeWindows.ofSizeAndGrace(
                Duration.ofSeconds(job.window_seconds), Duration.ofSeconds(job.grace_seconds)))
        .aggregate(
            histograms::empty,
            (model, event, sum) -> {
              mark();
              return histograms.add(event, sum);
            },
            Materialized.<String, long[]>as(
                    Stores.inMemoryWindowStore(
                        STORE, RETENTION, Duration.ofSeconds(job.window_seconds), false))
                .withKeySerde(Serdes.String())
                .withValueSerde(counts)
                .withCachingEnabled());
    return builder.build();
  }

  private org.apache.kafka.common.serialization.Deserializer<Event<?>> eventReader() {
    Class<?> feature = job.numeric_only ? Double.class : Object.class;
    JavaType type = mapper.getTypeFactory().constructParametricType(Event.class, feature);
    ObjectReader reader = mapper.readerFor(type);
    return (topic, data) -> {
      try {
        return reader.readValue(data);
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
    };
  }

  /** Called by the one stream thread. */
  private void mark() {
    long now = seen + 1;
    if (now % job.mark_every == 0 || now == job.records) {
      System.out.println("mark " + now + " " + System.currentTimeMillis() / 1e3);
    }
    seen = now;
  }

  /** Add up the tasks' windows; the last event may be a moment on its way into the store. */
  private Map<String, long[]> counts(KafkaStreams streams) throws InterruptedException {
    long deadline = System.currentTimeMillis() + PATIENCE_MS;
    while (true) {
      Map<String, long[]> sums = new TreeMap<>();
      long events = 0;
      ReadOnlyWindowStore<String, long[]> store =
          streams.store(
              StoreQueryParameters.fromNameAndType(STORE, QueryableStoreTypes.windowStore()));
      try (KeyValueIterator<Windowed<String>, long[]> all = store.all()) {
        while (all.hasNext()) {
          KeyValue<Windowed<String>, long[]> entry = all.next();
          String key = entry.key.key() + "\t" + entry.key.window().start() / 1000;
          long[] sum = sums.computeIfAbsent(key, any -> histograms.empty());
          for (int i = 0; i < sum.length; i++) {
            sum[i] += entry.value[i];
          }
          events += histograms.events(entry.value);
        }
      }
      if (events == job.records || System.currentTimeMillis() > deadline) {
        return sums;
      }
      Thread.sleep(50);
    }
  }
}
