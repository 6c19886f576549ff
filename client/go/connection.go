package sentinova

// How a server is reached: address, TLS, keepalive, and the retry policy. This file knows gRPC's settings, and must not
// know what is asked of the server.

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	pb "github.com/sentinova/sentinova/client/go/sentinova/v1"
)

const (
	modulePath = "github.com/sentinova/sentinova/client/go"

	// A request that does not fit into the buffer is not retried. No request that the server takes is larger.
	retryBufferBytes = 16 << 20

	// Reconnecting is quick enough for the retries to meet a server that has come back.
	firstReconnect   = 200 * time.Millisecond
	longestReconnect = 5 * time.Second
	connectTimeout   = 10 * time.Second

	// A dead peer is noticed within 80 s while a call waits for it. Idle connections send no pings; the server allows
	// one every 10 s.
	keepaliveTime    = 60 * time.Second
	keepaliveTimeout = 20 * time.Second
)

// Targets with a scheme are gRPC's to understand: those of its own resolvers, and those of a resolver that the program
// brings along ("xds:///name").
var schemePattern = regexp.MustCompile(`^((unix|unix-abstract|dns|passthrough):|[a-z0-9+.-]+:///)`)

// A TLS says how to secure the connection.
type TLS struct {
	// CAFile is a PEM file with the certificates to trust. Empty: those that the operating system trusts.
	CAFile string
	// CertFile is a PEM file with the client's certificate chain, where the server asks for one (mutual TLS).
	CertFile string
	// KeyFile is a PEM file with the private key of CertFile.
	KeyFile string
	// ServerName is the name that the server's certificate must carry. Empty: the host of the address.
	ServerName string
}

// config reads the files.
func (t TLS) config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate in PEM format", t.CAFile)
		}
	}
	if (t.CertFile == "") != (t.KeyFile == "") {
		return nil, fmt.Errorf("a client certificate needs its key, and a key its certificate: give both, or neither")
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// checkAddress tells what is wrong with an address that gRPC would not understand.
func checkAddress(address string) error {
	if schemePattern.MatchString(address) {
		return nil
	}
	if strings.Contains(address, "://") {
		return fmt.Errorf("%q is a URL; a gRPC address is host:port, without the scheme", address)
	}
	host, port, err := net.SplitHostPort(address)
	number, notNumber := strconv.Atoi(port)
	if err != nil || host == "" || notNumber != nil || number < 1 || number > 65_535 {
		return fmt.Errorf("%q is not an address: write host:port, [ipv6]:port, unix:/path or dns:///host:port", address)
	}
	return nil
}

// dialOptions gives gRPC's settings. The caller's own come last, and win.
func (s *settings) dialOptions() []grpc.DialOption {
	security := insecure.NewCredentials()
	if s.tls != nil {
		security = credentials.NewTLS(s.tls)
	}
	pause := backoff.Config{BaseDelay: firstReconnect, Multiplier: 1.6, Jitter: 0.2, MaxDelay: longestReconnect}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(security),
		grpc.WithUserAgent("sentinova-go/" + moduleVersion()),
		grpc.WithDisableServiceConfig(), // none is looked up in DNS: this one counts
		grpc.WithDefaultServiceConfig(serviceConfig(s.attempts, s.firstBackoff)),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: pause, MinConnectTimeout: connectTimeout}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(s.maxResponseBytes),
			grpc.MaxRetryRPCBufferSize(retryBufferBytes),
		),
	}
	return append(options, s.dial...)
}

// The parts of gRPC's service config that are used here.
// Format: https://github.com/grpc/grpc-proto/blob/master/grpc/service_config/service_config.proto
type (
	serviceConfigJSON struct {
		LoadBalancingConfig []map[string]struct{} `json:"loadBalancingConfig"`
		MethodConfig        []methodConfigJSON    `json:"methodConfig"`
	}
	methodConfigJSON struct {
		Name         []methodNameJSON `json:"name"`
		WaitForReady bool             `json:"waitForReady"`
		RetryPolicy  *retryPolicyJSON `json:"retryPolicy,omitempty"`
	}
	methodNameJSON struct {
		Service string `json:"service"`
		Method  string `json:"method"`
	}
	retryPolicyJSON struct {
		MaxAttempts          int      `json:"maxAttempts"`
		InitialBackoff       string   `json:"initialBackoff"`
		MaxBackoff           string   `json:"maxBackoff"`
		BackoffMultiplier    int      `json:"backoffMultiplier"`
		RetryableStatusCodes []string `json:"retryableStatusCodes"`
	}
)

// serviceConfig makes gRPC's service config. Calls that may be made again wait for a connection, and are retried on
// UNAVAILABLE alone, with jittered waits. One attempt: neither.
func serviceConfig(attempts int, firstBackoff time.Duration) string {
	config := serviceConfigJSON{
		// All addresses of a name in turn.
		LoadBalancingConfig: []map[string]struct{}{{"round_robin": {}}},
		MethodConfig:        []methodConfigJSON{},
	}
	if attempts > 1 {
		config.MethodConfig = []methodConfigJSON{
			{
				Name:         repeatable(),
				WaitForReady: true,
				RetryPolicy: &retryPolicyJSON{
					MaxAttempts:          attempts,
					InitialBackoff:       fmt.Sprintf("%.9fs", firstBackoff.Seconds()),
					MaxBackoff:           fmt.Sprintf("%.9fs", longestBackoff.Seconds()),
					BackoffMultiplier:    2,
					RetryableStatusCodes: []string{"UNAVAILABLE"},
				},
			},
			// What a stream has sent is sent again by this package, not by gRPC.
			{
				Name:         []methodNameJSON{{pb.SentimentService_ServiceDesc.ServiceName, "StreamAnalyzeSentiment"}},
				WaitForReady: true,
			},
		}
	}
	text, err := json.Marshal(config)
	if err != nil {
		panic(err) // strings and numbers always have a JSON form
	}
	return string(text)
}

// repeatable names the methods that may be called twice. Setting the same thing twice is as good as once. The other
// methods that change something are not that harmless: a second rollback goes back one version more.
func repeatable() []methodNameJSON {
	sentiment, models := pb.SentimentService_ServiceDesc.ServiceName, pb.ModelService_ServiceDesc.ServiceName
	return []methodNameJSON{
		{sentiment, "AnalyzeSentiment"},
		{sentiment, "BatchAnalyzeSentiment"},
		{models, "ListModels"},
		{models, "GetModel"},
		{models, "SetModelLabel"},
		{models, "SetModelWeights"},
		{models, "SetModelShadow"},
	}
}

// moduleVersion gives the version of this module in the program that uses it.
func moduleVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, module := range append(info.Deps, &info.Main) {
		if module.Path == modulePath && module.Version != "" {
			return module.Version
		}
	}
	return "unknown"
}
