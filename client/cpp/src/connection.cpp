#include "connection.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <fstream>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <system_error>

#include "deadline.h"

namespace sentinova::internal {
namespace {

constexpr int kMostAttempts = 5;  // gRPC itself allows no more
constexpr std::array kSchemes{"unix:", "unix-abstract:", "dns:", "ipv4:", "ipv6:", "xds:"};
// What changes nothing, and so may be done twice.
constexpr std::array<std::array<const char*, 2>, 4> kRetriedMethods{{
    {"sentinova.v1.SentimentService", "AnalyzeSentiment"},
    {"sentinova.v1.SentimentService", "BatchAnalyzeSentiment"},
    {"sentinova.v1.ModelService", "ListModels"},
    {"sentinova.v1.ModelService", "GetModel"},
}};

bool starts_with(const std::string& text, const std::string& start) {
  return text.compare(0, start.size(), start) == 0;
}

/// Gives the host and the port of `host:port` and `[v6]:port`; empty where the address has neither form.
std::smatch host_and_port(const std::string& address) {
  static const std::regex pattern{R"((\[[^\]]+\]|[^:/\[\]]+):(\d{1,5}))"};
  std::smatch match;
  std::regex_match(address, match, pattern);
  return match;
}

std::string contents_of(const std::string& path) {
  if (path.empty()) return {};
  errno = 0;
  std::ifstream file{path, std::ios::binary};
  std::ostringstream contents;
  contents << file.rdbuf();
  if (!file) throw std::system_error(errno != 0 ? errno : EIO, std::generic_category(), path);
  return contents.str();
}

std::shared_ptr<grpc::ChannelCredentials> credentials_of(const std::optional<Tls>& tls) {
  if (!tls) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = contents_of(tls->ca_file);
  options.pem_cert_chain = contents_of(tls->cert_file);
  options.pem_private_key = contents_of(tls->key_file);
  return grpc::SslCredentials(options);
}

grpc::ChannelArguments arguments_of(const ClientOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetUserAgentPrefix("sentinova-cpp/" SENTINOVA_VERSION);
  arguments.SetServiceConfigJSON(service_config(options.attempts));
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 1);
  // A request that does not fit the buffer is not retried: room for a batch of long texts.
  arguments.SetInt(GRPC_ARG_PER_RPC_RETRY_BUFFER_SIZE, 4 << 20);
  // The server's own limit holds; gRPC's 4 MiB would refuse what a server was set to send.
  arguments.SetMaxReceiveMessageSize(-1);
  // Reconnect quickly enough for the retries to meet a server that has come back.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 200);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5'000);
  // A dead peer is noticed within 80 s while a call waits for it, be it a watch on which nothing happens for long. The
  // server allows a ping every 10 s. Idle channels send none.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 0);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  if (is_local(options.address)) arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  if (options.tls && !options.tls->server_name.empty()) {
    arguments.SetSslTargetNameOverride(options.tls->server_name);
  }
  return arguments;
}

}  // namespace

void check_address(const std::string& address) {
  const auto is_start = [&address](const char* scheme) { return starts_with(address, scheme); };
  if (std::any_of(kSchemes.begin(), kSchemes.end(), is_start)) return;
  if (address.find("://") != std::string::npos) {
    throw std::invalid_argument("'" + address + "' is a URL; a gRPC address is host:port, without the scheme");
  }
  const std::smatch match = host_and_port(address);
  if (match.empty() || std::stoi(match[2]) < 1 || std::stoi(match[2]) > 65'535) {
    throw std::invalid_argument("'" + address +
                                "' is not an address: write host:port, [ipv6]:port, unix:/path or dns:///host:port");
  }
}

void check_options(const ClientOptions& options) {
  check_address(options.address);
  check_timeout(options.timeout);
  if (options.attempts < 1 || options.attempts > kMostAttempts) {
    throw std::invalid_argument("attempts must be from 1 to " + std::to_string(kMostAttempts) + ", not " +
                                std::to_string(options.attempts));
  }
  if (options.tls && options.tls->cert_file.empty() != options.tls->key_file.empty()) {
    throw std::invalid_argument("a client certificate needs its key, and a key its certificate: give both, or neither");
  }
  const auto is_upper = [](unsigned char each) { return std::isupper(each) != 0; };
  for (const auto& [key, value] : options.metadata) {
    if (std::any_of(key.begin(), key.end(), is_upper)) {
      throw std::invalid_argument("metadata keys are lower case: '" + key + "' is not");
    }
  }
}

bool is_local(const std::string& address) {
  if (starts_with(address, "unix:") || starts_with(address, "unix-abstract:")) return true;
  const std::smatch match = host_and_port(address);
  if (match.empty()) return false;
  static const std::regex loopback{R"(localhost|\[::1\]|127\.\d{1,3}\.\d{1,3}\.\d{1,3})"};
  return std::regex_match(match[1].str(), loopback);
}

std::string service_config(int attempts) {
  // All addresses of a name in turn.
  if (attempts == 1) return R"({"loadBalancingConfig": [{"round_robin": {}}]})";
  std::ostringstream config;
  config << R"({"loadBalancingConfig": [{"round_robin": {}}], "methodConfig": [{"name": [)";
  const char* separator = "";
  for (const auto& [service, method] : kRetriedMethods) {
    config << separator << R"({"service": ")" << service << R"(", "method": ")" << method << R"("})";
    separator = ", ";
  }
  config << R"(], "retryPolicy": {"maxAttempts": )" << attempts
         << R"(, "initialBackoff": "0.2s", "maxBackoff": "2s", "backoffMultiplier": 2,)"
         << R"( "retryableStatusCodes": ["UNAVAILABLE"]}}]})";
  return config.str();
}

std::shared_ptr<grpc::Channel> open_channel(const ClientOptions& options) {
  check_options(options);
  return grpc::CreateCustomChannel(options.address, credentials_of(options.tls), arguments_of(options));
}

}  // namespace sentinova::internal
