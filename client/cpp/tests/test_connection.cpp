#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <system_error>

#include "connection.h"
#include "sentinova/client.h"

namespace sentinova::internal {
namespace {

using namespace std::chrono_literals;

TEST(Connection, TakesGrpcsFormsOfAddresses) {
  for (const char* address : {"localhost:8001", "127.0.0.1:1", "[::1]:65535", "unix:/tmp/socket", "dns:///name:8001"}) {
    EXPECT_NO_THROW(check_address(address)) << address;
  }
}

TEST(Connection, RefusesWhatIsNoAddress) {
  for (const char* address : {"", "host", "host:", ":8001", "host:0", "host:65536", "host:port", "http://host:8001",
                              "::1:8001", "host:8001/path"}) {
    EXPECT_THROW(check_address(address), std::invalid_argument) << address;
  }
}

TEST(Connection, KnowsWhatIsLocal) {
  for (const char* address : {"localhost:1", "127.0.0.1:1", "127.1.2.3:1", "[::1]:1", "unix:/tmp/socket"}) {
    EXPECT_TRUE(is_local(address)) << address;
  }
  for (const char* address : {"10.0.0.1:1", "example.org:1", "[2001:db8::1]:1", "dns:///localhost:1"}) {
    EXPECT_FALSE(is_local(address)) << address;
  }
}

TEST(Connection, RetriesOnlyWhatChangesNothing) {
  const std::string config = service_config(3);
  EXPECT_NE(config.find(R"("maxAttempts": 3)"), std::string::npos);
  for (const char* method : {"AnalyzeSentiment", "BatchAnalyzeSentiment", "ListModels", "GetModel"}) {
    EXPECT_NE(config.find(std::string{R"("method": ")"} + method + '"'), std::string::npos) << method;
  }
  for (const char* method : {"LoadModel", "UnloadModel", "RollbackModel", "WatchModels", "StreamAnalyzeSentiment"}) {
    EXPECT_EQ(config.find(std::string{'"'} + method), std::string::npos) << method;
  }
  EXPECT_EQ(service_config(1).find("retryPolicy"), std::string::npos);
}

TEST(Connection, RefusesOptionsThatMakeNoSense) {
  const auto refused = [](auto change) {
    ClientOptions options;
    change(options);
    EXPECT_THROW(Client{options}, std::invalid_argument);
  };
  refused([](ClientOptions& options) { options.address = "nowhere"; });
  refused([](ClientOptions& options) { options.attempts = 0; });
  refused([](ClientOptions& options) { options.attempts = 6; });
  refused([](ClientOptions& options) { options.timeout = 0s; });
  refused([](ClientOptions& options) { options.timeout = -1s; });
  refused([](ClientOptions& options) { options.metadata = {{"Authorization", "x"}}; });
  refused([](ClientOptions& options) { options.tls = Tls{"", "cert.pem"}; });
  refused([](ClientOptions& options) { options.tls = Tls{"", "", "key.pem"}; });
}

TEST(Connection, NamesAFileThatCannotBeRead) {
  ClientOptions options;
  options.tls = Tls{"/nowhere/ca.pem"};
  try {
    const Client client{options};
    FAIL() << "the file was read";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::errc::no_such_file_or_directory);
    EXPECT_NE(std::string{error.what()}.find("/nowhere/ca.pem"), std::string::npos);
  }
}

}  // namespace
}  // namespace sentinova::internal
