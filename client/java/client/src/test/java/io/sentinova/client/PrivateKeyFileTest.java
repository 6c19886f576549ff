package io.sentinova.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.interfaces.ECPrivateKey;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PrivateKeyFileTest {
    private static final String P256 = "06082a8648ce3d030107";
    private static final String P521 = "06052b81040023";

    @TempDir
    Path folder;

    private Path pem(String kind, byte[] content) throws IOException {
        String body = Base64.getMimeEncoder().encodeToString(content);
        String before = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
        String text = before + "-----BEGIN " + kind + "-----\n" + body + "\n-----END " + kind + "-----\n";
        return Files.writeString(folder.resolve("key.pem"), text);
    }

    private static PrivateKey read(Path file, String algorithm) throws Exception {
        String text = new String(PrivateKeyFile.read(file), StandardCharsets.US_ASCII);
        String body = text.replaceAll("-----[A-Z ]+-----", "");
        return KeyFactory.getInstance(algorithm)
                .generatePrivate(new PKCS8EncodedKeySpec(Base64.getMimeDecoder().decode(body)));
    }

    private static byte[] element(int tag, byte[]... contents) {
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        Arrays.stream(contents).forEach(content::writeBytes);
        int length = content.size();
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.write(tag);
        if (length > 0x7f) {
            out.write(0x81); // enough for the keys here
        }
        out.write(length);
        out.writeBytes(content.toByteArray());
        return out.toByteArray();
    }

    /** Encodes an EC key as RFC 5915 has it, with a curve, and with so many bytes where its public key would be. */
    private static byte[] sec1(PrivateKey key, String curve, int size, int publicBytes) {
        BigInteger secret = ((ECPrivateKey) key).getS();
        byte[] digits = secret.toByteArray();
        byte[] fixed = new byte[size];
        int from = Math.max(0, digits.length - size);
        System.arraycopy(digits, from, fixed, size - (digits.length - from), digits.length - from);
        return element(
                0x30,
                element(0x02, new byte[] {1}),
                element(0x04, fixed),
                curve.isEmpty() ? new byte[0] : element(0xa0, HexFormat.of().parseHex(curve)),
                publicBytes == 0 ? new byte[0] : element(0xa1, element(0x03, new byte[publicBytes])));
    }

    private static PrivateKey ecKey(String curve) throws Exception {
        KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
        generator.initialize(new ECGenParameterSpec(curve));
        return generator.generateKeyPair().getPrivate();
    }

    private static void checkSame(PrivateKey key, Path file) throws Exception {
        ECPrivateKey found = (ECPrivateKey) read(file, "EC");
        assertEquals(((ECPrivateKey) key).getS(), found.getS());
        assertEquals(((ECPrivateKey) key).getParams(), found.getParams());
    }

    @Test
    void pkcs8IsKept() throws Exception {
        PrivateKey key = ecKey("secp256r1");
        assertEquals(key, read(pem("PRIVATE KEY", key.getEncoded()), "EC"));
    }

    @Test
    void anOldKeyOfAnEllipticCurveIsWrapped() throws Exception {
        PrivateKey small = ecKey("secp256r1");
        checkSame(small, pem("EC PRIVATE KEY", sec1(small, P256, 32, 0)));
        PrivateKey large = ecKey("secp521r1");
        checkSame(large, pem("EC PRIVATE KEY", sec1(large, P521, 66, 0)));
        checkSame(large, pem("EC PRIVATE KEY", sec1(large, P521, 66, 100))); // (lengths of two bytes)
    }

    @Test
    void anOldRsaKeyIsWrapped() throws Exception {
        KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA");
        generator.initialize(2048);
        KeyPair pair = generator.generateKeyPair();
        byte[] pkcs8 = pair.getPrivate().getEncoded();
        // SEQUENCE, version and algorithm take 22 bytes, the OCTET STRING's head four; then comes the old form.
        byte[] pkcs1 = Arrays.copyOfRange(pkcs8, 26, pkcs8.length);
        assertEquals(pair.getPrivate(), read(pem("RSA PRIVATE KEY", pkcs1), "RSA"));
    }

    @Test
    void whatIsNoKeyIsRefused() throws Exception {
        PrivateKey key = ecKey("secp256r1");
        Path withoutCurve = pem("EC PRIVATE KEY", sec1(key, "", 32, 0));
        assertThrows(IllegalArgumentException.class, () -> PrivateKeyFile.read(withoutCurve));
        Path certificate = pem("CERTIFICATE", new byte[10]);
        assertThrows(IllegalArgumentException.class, () -> PrivateKeyFile.read(certificate));
        Path encrypted = pem("ENCRYPTED PRIVATE KEY", new byte[10]);
        assertThrows(IllegalArgumentException.class, () -> PrivateKeyFile.read(encrypted));
        assertThrows(IOException.class, () -> PrivateKeyFile.read(folder.resolve("none.pem")));
    }
}
