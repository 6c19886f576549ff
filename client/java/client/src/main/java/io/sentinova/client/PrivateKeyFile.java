package io.sentinova.client;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Private keys in the form that gRPC reads: PKCS#8 (RFC 5208). Keys in the older forms that OpenSSL still writes, of
 * RSA (RFC 8017, A.1.2) and of elliptic curves (RFC 5915), are wrapped.
 *
 * <p>Knows PEM and as much of DER as that takes. Must not know what a key is for.
 */
final class PrivateKeyFile {
    private static final Pattern BLOCK =
            Pattern.compile("-----BEGIN (RSA |EC |)PRIVATE KEY-----([A-Za-z0-9+/=\\s]+)-----END \\1PRIVATE KEY-----");
    private static final byte[] RSA = HexFormat.of().parseHex("06092a864886f70d0101010500"); // rsaEncryption
    private static final byte[] EC = HexFormat.of().parseHex("06072a8648ce3d0201"); // id-ecPublicKey; the curve follows
    private static final byte[] VERSION_0 = {0x02, 0x01, 0x00};
    private static final int SEQUENCE = 0x30;
    private static final int OCTET_STRING = 0x04;
    private static final int CURVE = 0xa0; // of an EC key: its curve, tagged [0]

    private PrivateKeyFile() {}

    /**
     * Reads a key.
     *
     * @throws IOException where the file cannot be read
     * @throws IllegalArgumentException where it holds no key of a form known here
     */
    static byte[] read(Path file) throws IOException {
        Matcher block = BLOCK.matcher(Files.readString(file, StandardCharsets.ISO_8859_1));
        if (!block.find()) {
            throw new IllegalArgumentException(file + " holds no private key in PEM form that is not encrypted");
        }
        try {
            byte[] key = Base64.getMimeDecoder().decode(block.group(2));
            return pem(
                    switch (block.group(1)) {
                        case "RSA " -> wrap(RSA, key);
                        case "EC " -> wrap(concat(EC, curveOf(key)), key);
                        default -> key;
                    });
        } catch (IllegalArgumentException | IndexOutOfBoundsException error) {
            throw new IllegalArgumentException(file + " holds a damaged private key, or one without its curve", error);
        }
    }

    private static byte[] wrap(byte[] algorithm, byte[] key) {
        return element(SEQUENCE, concat(VERSION_0, element(SEQUENCE, algorithm), element(OCTET_STRING, key)));
    }

    /** Gives the element that names the curve: ECPrivateKey ::= { version, privateKey, [0] curve, [1] publicKey }. */
    private static byte[] curveOf(byte[] key) {
        int at = contentOf(key, 0);
        while ((key[at] & 0xff) != CURVE) {
            at = contentOf(key, at) + lengthOf(key, at);
        }
        int start = contentOf(key, at);
        return Arrays.copyOfRange(key, start, start + lengthOf(key, at));
    }

    private static int contentOf(byte[] der, int at) {
        int first = der[at + 1] & 0xff;
        return at + 2 + (first < 0x80 ? 0 : first & 0x7f);
    }

    private static int lengthOf(byte[] der, int at) {
        int first = der[at + 1] & 0xff;
        if (first < 0x80) {
            return first;
        }
        int length = 0;
        for (int index = 0; index < (first & 0x7f); index++) {
            length = length << 8 | der[at + 2 + index] & 0xff;
        }
        return length;
    }

    private static byte[] element(int tag, byte[] content) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.write(tag);
        if (content.length >= 0x100) {
            out.write(0x82); // two bytes of length follow
            out.write(content.length >> 8);
        } else if (content.length >= 0x80) {
            out.write(0x81);
        }
        out.write(content.length);
        out.writeBytes(content);
        return out.toByteArray();
    }

    private static byte[] concat(byte[]... parts) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            out.writeBytes(part);
        }
        return out.toByteArray();
    }

    private static byte[] pem(byte[] key) {
        String body = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(key);
        String text = "-----BEGIN PRIVATE KEY-----\n" + body + "\n-----END PRIVATE KEY-----\n";
        return text.getBytes(StandardCharsets.US_ASCII);
    }
}
