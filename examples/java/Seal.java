import com.fasterxml.jackson.databind.ObjectMapper;
import com.macasaet.fernet.*;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/**
 * Seals one password field as a publisher does it (docs/publishing.md), for programs that write events themselves.
 *
 * <p>Environment: PUBLISHER_FERNET_KEY. The value comes on standard input, so that it is in no list of processes:
 *
 * <pre>printf %s "$PASSWORD" | java -cp "$PWD/.tmp/java/*" examples/java/Seal.java CONNECTION_ID /connection/config/password</pre>
 */
public class Seal {
  /** The field's text: a token that is good for this connection and this JSON Pointer only. */
  static String seal(Key key, String connectionId, String path, String value) throws Exception {
    var fields = Map.of("connectionId", connectionId, "path", path, "value", value);
    String envelope = "csw1:" + new ObjectMapper().writeValueAsString(fields);
    return "fernet:" + Token.generate(key, envelope.getBytes(StandardCharsets.UTF_8)).serialise();
  }

  public static void main(String[] args) throws Exception {
    String firstKey = System.getenv("PUBLISHER_FERNET_KEY").split(",")[0].trim();
    String value = new String(System.in.readAllBytes(), StandardCharsets.UTF_8);
    System.out.println(seal(new Key(firstKey), args[0], args[1], value));
  }
}
