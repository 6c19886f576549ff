/**
 * The Java client of Sentinova: sentiment of text from a Sentinova server, over gRPC.
 *
 * <pre>{@code
 * try (SentinovaClient client = SentinovaClient.builder().address("127.0.0.1:8001").build()) {
 *     System.out.println(client.analyze("A quiet, lovely film.").label());
 * }
 * }</pre>
 *
 * <p>{@link io.sentinova.client.SentinovaClient} makes the calls; its results are immutable, its errors are
 * {@link io.sentinova.client.SentinovaException}. The stubs that it is built on are in {@code io.sentinova.v1}, for
 * what this package leaves out.
 */
package io.sentinova.client;
