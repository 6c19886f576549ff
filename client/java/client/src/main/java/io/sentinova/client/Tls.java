package io.sentinova.client;

import io.grpc.ChannelCredentials;
import io.grpc.TlsChannelCredentials;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;

/**
 * TLS to the server, and the client's own certificate where the server asks for one (mutual TLS). Immutable: each
 * method gives new settings. The files are PEM, and are read when the client is built.
 *
 * <pre>{@code Tls.trusting(Path.of("ca.pem")).certificate(Path.of("client.pem"), Path.of("client.key"))}</pre>
 */
public final class Tls {
    private final Path authorities;
    private final Path certificate;
    private final Path key;
    private final String serverName;

    private Tls(Path authorities, Path certificate, Path key, String serverName) {
        this.authorities = authorities;
        this.certificate = certificate;
        this.key = key;
        this.serverName = serverName;
    }

    /**
     * Trusts the authorities that Java trusts.
     *
     * @return the settings
     */
    public static Tls trustingSystem() {
        return new Tls(null, null, null, null);
    }

    /**
     * Trusts the authorities of a file, and no others.
     *
     * @param authorities file with the certificates to trust
     * @return the settings
     */
    public static Tls trusting(Path authorities) {
        return new Tls(Objects.requireNonNull(authorities, "authorities"), null, null, null);
    }

    /**
     * Shows the server a certificate.
     *
     * @param chain file with the client's certificate, and those between it and its authority
     * @param privateKey file with its key, not encrypted: PKCS#8, or the older forms of RSA and EC keys
     * @return the settings with it
     */
    public Tls certificate(Path chain, Path privateKey) {
        Objects.requireNonNull(chain, "chain");
        return new Tls(authorities, chain, Objects.requireNonNull(privateKey, "privateKey"), serverName);
    }

    /**
     * Expects a name that is not the host of the address.
     *
     * @param name the name that the server's certificate must carry
     * @return the settings with it
     */
    public Tls serverName(String name) {
        return new Tls(authorities, certificate, key, Objects.requireNonNull(name, "name"));
    }

    /** Gives the name to expect; null: the host of the address. */
    String serverName() {
        return serverName;
    }

    /**
     * Reads the files.
     *
     * @throws UncheckedIOException where one cannot be read
     * @throws IllegalArgumentException where the key is none
     */
    ChannelCredentials credentials() {
        TlsChannelCredentials.Builder builder = TlsChannelCredentials.newBuilder();
        try {
            if (authorities != null) {
                builder.trustManager(authorities.toFile());
            }
            if (certificate != null) {
                builder.keyManager(
                        new ByteArrayInputStream(Files.readAllBytes(certificate)),
                        new ByteArrayInputStream(PrivateKeyFile.read(key)));
            }
            return builder.build();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }
}
