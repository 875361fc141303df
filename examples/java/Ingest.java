import com.fasterxml.jackson.core.JsonPointer;
import com.fasterxml.jackson.databind.*;
import com.fasterxml.jackson.databind.node.*;
import com.macasaet.fernet.*;
import java.nio.charset.*;
import java.time.Duration;
import java.time.temporal.TemporalAmount;
import java.util.*;
import java.util.function.*;
import org.apache.kafka.clients.consumer.*;
import software.amazon.awssdk.services.secretsmanager.SecretsManagerClient;
import software.amazon.awssdk.services.secretsmanager.model.ResourceNotFoundException;

/** connection.secured in Java: hands over each connection's entity with its passwords filled in (docs/ingestion.md). */
public class Ingest {
  static final SecretsManagerClient STORE = SecretsManagerClient.create();
  static final List<Key> KEYS = Arrays.stream(System.getenv().getOrDefault("INGESTION_FERNET_KEY", "").split(","))
      .map(String::trim).filter(key -> !key.isEmpty()).map(Key::new).toList();
  /** Stored texts have no age limit; the library's own is one minute. */
  static final StringValidator ANY_AGE = new StringValidator() {
    @Override public TemporalAmount getTimeToLive() { return Duration.ofDays(365_000); }
    @Override public Charset getCharset() { return StandardCharsets.UTF_8; }
  };

  /** No value, and the next attempt has none either: skip the record, a newer one of the connection makes up for it. */
  static class Unresolved extends RuntimeException {
    Unresolved(String message) { super(message); }
  }

  static String valueOf(String reference, String provider) {
    if (reference.startsWith("fernet:")) {
      String text = opened(reference.substring("fernet:".length()));
      return text.startsWith("secret:") ? valueOf(text, provider) : text;
    }
    // db: a reference that a user typed.
    if (!Set.of("aws-secrets-manager", "db").contains(provider))
      throw new Unresolved("a store that this program does not know: " + provider);
    try {
      return STORE.getSecretValue(request -> request.secretId(reference.substring("secret:".length()))).secretString();
    } catch (ResourceNotFoundException error) {
      throw new Unresolved(reference + " is not in the store");
    }
  }

  static String opened(String token) {
    try {
      return Token.fromString(token).validateAndDecrypt(KEYS, ANY_AGE);
    } catch (IllegalTokenException | TokenValidationException error) {
      throw new Unresolved("a sealed text that no key of INGESTION_FERNET_KEY opens");
    }
  }

  static JsonNode fill(JsonNode data) {
    for (JsonNode field : data.get("secretFields")) {
      JsonPointer path = JsonPointer.compile(field.get("path").asText());
      JsonNode parent = data.get("entity").at(path.head());
      TextNode value = TextNode.valueOf(valueOf(field.get("reference").asText(), data.get("store").get("provider").asText()));
      if (parent instanceof ArrayNode array) array.set(path.last().getMatchingIndex(), value);
      else ((ObjectNode) parent).set(path.last().getMatchingProperty(), value);
    }
    return data.get("entity");
  }

  /** Until the handler says that it has enough. */
  static void run(BiPredicate<JsonNode, JsonNode> handler) throws Exception {
    Map<String, String> env = System.getenv();
    Map<String, Object> settings = Map.of("bootstrap.servers", env.get("KAFKA_BROKERS"), "group.id",
        env.getOrDefault("KAFKA_GROUP_ID", "ingestion"), "enable.auto.commit", false, "auto.offset.reset", "earliest");
    var text = new org.apache.kafka.common.serialization.StringDeserializer();
    Map<String, long[]> newest = new HashMap<>();
    try (var consumer = new KafkaConsumer<>(settings, text, text)) {
      consumer.subscribe(List.of(env.getOrDefault("TOPIC_SECURED", "connection.secured")));
      for (boolean more = true; more; consumer.commitSync()) {
        for (var record : consumer.poll(Duration.ofSeconds(1))) {
          if (record.value() == null) continue;
          JsonNode data = new ObjectMapper().readTree(record.value()).get("data");
          long[] order = {data.get("generation").asLong(), data.get("revision").asLong()};
          String id = data.get("connectionId").asText();
          if (Arrays.compare(order, newest.getOrDefault(id, new long[2])) <= 0) continue;
          try {
            more = handler.test(data, fill(data)); // any other error ends the program: at the next start the record comes again
          } catch (Unresolved problem) {
            System.err.printf("%s revision %s skipped: %s%n", data.get("name").asText(), data.get("revision"), problem.getMessage());
          }
          newest.put(id, order);
        }
      }
    }
  }

  public static void main(String[] args) throws Exception {
    run((event, entity) -> {
      System.out.printf("%s revision %s has %d secrets%n", event.get("name").asText(), event.get("revision"),
          event.get("secretFields").size());
      return true;
    });
  }
}
