// Asking FluxiQ whether a call may pass, as a servlet filter (Spring Boot 3, Java 17 or newer).
// Not run by this project's tests.
//
//   @Bean FilterRegistrationBean<FluxiqFilter> pix() {
//     var bean = new FilterRegistrationBean<>(
//         new FluxiqFilter(URI.create("https://auth.example.com"), "pix:write"));
//     bean.addUrlPatterns("/api/v1/pix/*");
//     return bean;
//   }

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import jakarta.servlet.FilterChain;
import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.springframework.web.filter.OncePerRequestFilter;

public class FluxiqFilter extends OncePerRequestFilter {
  private static final Map<Integer, String> CODES =
      Map.of(400, "VALIDATION_ERROR", 401, "UNAUTHORIZED", 403, "FORBIDDEN", 429, "RATE_LIMITED");
  private static final List<String> LIMITS =
      List.of("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset",
          "RateLimit-Policy", "RateLimit");
  private static final List<String> PASSED_ON =
      List.of("Content-Type", "Cache-Control", "WWW-Authenticate", "Retry-After", "X-Request-ID");

  // A redirect would take the credential elsewhere.
  private final HttpClient client =
      HttpClient.newBuilder()
          .version(HttpClient.Version.HTTP_1_1)
          .connectTimeout(Duration.ofSeconds(1))
          .followRedirects(HttpClient.Redirect.NEVER)
          .build();
  private final ObjectMapper json = new ObjectMapper();
  private final List<String> permissions;
  private final URI question;

  public FluxiqFilter(URI baseUrl, String... permissions) {
    this.permissions = List.of(permissions);
    String query =
        this.permissions.stream()
            .map(p -> "permission=" + URLEncoder.encode(p, StandardCharsets.UTF_8))
            .collect(Collectors.joining("&"));
    this.question = baseUrl.resolve("/api/v1/auth/verify?" + query);
  }

  @Override
  protected void doFilterInternal(
      HttpServletRequest request, HttpServletResponse response, FilterChain chain)
      throws ServletException, IOException {
    HttpResponse<byte[]> answer;
    try {
      answer = client.send(ask(request), HttpResponse.BodyHandlers.ofByteArray());
      check(answer);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      unavailable(response, e);
      return;
    } catch (IOException | IllegalArgumentException e) {
      unavailable(response, e);
      return;
    }
    boolean admitted = answer.statusCode() == 200;
    (admitted ? LIMITS.stream() : Stream.concat(PASSED_ON.stream(), LIMITS.stream()))
        .forEach(n -> answer.headers().firstValue(n).ifPresent(v -> response.setHeader(n, v)));
    if (!admitted) {
      response.setStatus(answer.statusCode());
      response.getOutputStream().write(answer.body());
      return;
    }
    request.setAttribute("fluxiq.kind", header(answer, "X-Auth-Kind"));
    request.setAttribute("fluxiq.subject", header(answer, "X-Auth-Subject"));
    request.setAttribute("fluxiq.merchants", List.of(header(answer, "X-Auth-Merchants").split(",")));
    chain.doFilter(request, response);
  }

  private HttpRequest ask(HttpServletRequest request) {
    var ask = HttpRequest.newBuilder(question).timeout(Duration.ofSeconds(2)).GET();
    for (String name : List.of("Authorization", "X-Request-ID")) {
      if (request.getHeader(name) != null) ask.setHeader(name, request.getHeader(name));
    }
    // FluxiQ believes this address where its TRUSTED_PROXIES names this service.
    String before = request.getHeader("X-Forwarded-For");
    String peer = request.getRemoteAddr();
    return ask.setHeader("X-Forwarded-For", before == null ? peer : before + ", " + peer).build();
  }

  /** Throws unless this is an answer of the documented form: another server's 200 is no grant. */
  private void check(HttpResponse<byte[]> answer) throws IOException {
    JsonNode envelope = json.readTree(answer.body());
    if (answer.statusCode() == 200) {
      List<String> held = List.of(header(answer, "X-Auth-Permissions").split(" "));
      if (header(answer, "X-Auth-Subject").isEmpty() || !held.containsAll(permissions)) {
        throw new IOException("a 200 that does not answer what was asked");
      }
      return;
    }
    String code = CODES.get(answer.statusCode());
    if (code == null || !code.equals(envelope.path("error").path("code").asText())) {
      throw new IOException("status " + answer.statusCode());
    }
  }

  private static String header(HttpResponse<byte[]> answer, String name) {
    return answer.headers().firstValue(name).orElse("");
  }

  private void unavailable(HttpServletResponse response, Exception cause) throws IOException {
    logger.error("no answer of FluxiQ", cause);
    response.setStatus(503);
    response.setHeader("Retry-After", "1");
    response.setContentType("application/json");
    response.getWriter().write(
        "{\"error\":{\"code\":\"SERVICE_UNAVAILABLE\","
            + "\"message\":\"The service is temporarily unavailable\"}}");
  }
}
