package sentinova

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	pb "github.com/sentinova/sentinova/client/go/sentinova/v1"
)

func TestAddresses(t *testing.T) {
	for _, good := range []string{
		"127.0.0.1:8001", "[::1]:8001", "host.example:1", "unix:/run/s.sock", "dns:///host.example:8001",
	} {
		if err := checkAddress(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{
		"", "host", "http://host:8001", "host:0", "host:65536", "host:grpc", ":8001", "a:b:1",
	} {
		if _, err := New(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.pem")
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, option := range map[string]Option{
		"no attempts":            WithAttempts(0),
		"too many attempts":      WithAttempts(6),
		"negative timeout":       WithTimeout(-time.Second),
		"a key without value":    WithMetadata("a"),
		"an upper case key":      WithMetadata("A", "b"),
		"no bytes":               WithMaxResponseBytes(0),
		"no TLS configuration":   WithTLSConfig(nil),
		"missing file":           WithTLS(TLS{CAFile: missing}),
		"file without a key":     WithTLS(TLS{CAFile: empty}),
		"certificate, no key":    WithTLS(TLS{CertFile: missing}),
		"key, no certificate":    WithTLS(TLS{KeyFile: missing}),
		"missing certificate":    WithTLS(TLS{CertFile: missing, KeyFile: missing}),
		"several, the last of …": func(s *settings) error { return WithAttempts(9)(s) },
	} {
		if client, err := New(DefaultAddress, option); err == nil {
			client.Close()
			t.Errorf("%s: was taken", name)
		}
	}
}

func TestTLS(t *testing.T) {
	authority := newAuthority(t, "authority")
	stranger := newAuthority(t, "stranger")
	serverCert, serverKey := authority.issue(t, "server.example")
	clientCert, clientKey := authority.issue(t, "client")
	strangeCert, strangeKey := stranger.issue(t, "client")

	pair, err := tls.LoadX509KeyPair(serverCert, serverKey)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(authority.certificate)
	security := credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{pair},
		ClientCAs:    pool,
		ClientAuth:   tls.RequireAndVerifyClientCert,
		MinVersion:   tls.VersionTLS13,
	})
	server := &fake{get: func(context.Context, *pb.GetModelRequest) (*pb.GetModelResponse, error) {
		return &pb.GetModelResponse{}, nil
	}}
	address, _ := server.serveAt(t, "127.0.0.1:0", grpc.Creds(security))

	name := "server.example"
	for _, test := range []struct {
		name string
		tls  TLS
		code codes.Code
	}{
		{"mutual", TLS{authority.file, clientCert, clientKey, name}, codes.OK},
		{"server not trusted", TLS{stranger.file, clientCert, clientKey, name}, codes.Unavailable},
		{"server of another name", TLS{authority.file, clientCert, clientKey, "other.example"}, codes.Unavailable},
		{"no certificate", TLS{CAFile: authority.file, ServerName: name}, codes.Unavailable},
		{"certificate not trusted", TLS{authority.file, strangeCert, strangeKey, name}, codes.Unavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := newTestClient(t, address, WithTLS(test.tls), WithAttempts(1))
			if _, err := client.GetModel(within(t), "m"); status.Code(err) != test.code {
				t.Errorf("got %v, want %v", err, test.code)
			}
		})
	}
}

// authority issues certificates for a test.
type authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	file        string
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: name},
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	key, der := newCertificate(t, template, template, nil)
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{key, certificate, writePEM(t, "CERTIFICATE", der)}
}

// issue gives the files of a certificate and its key.
func (a *authority) issue(t *testing.T, name string) (certFile, keyFile string) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: name},
		DNSNames:     []string{name},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 2)}, // not where the server is: the name must be told
		NotAfter:     time.Now().Add(time.Hour),
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	key, der := newCertificate(t, template, a.certificate, a.key)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return writePEM(t, "CERTIFICATE", der), writePEM(t, "PRIVATE KEY", private)
}

func newCertificate(
	t *testing.T, template, parent *x509.Certificate, signer *ecdsa.PrivateKey,
) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return key, der
}

func writePEM(t *testing.T, kind string, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
