#include <gtest/gtest.h>

#include "fake_server.h"
#include "status.h"

namespace sentinova::internal {
namespace {

using namespace std::chrono_literals;
using test::failure;

TEST(Errors, CarryTheDetailsOfTheServer) {
  const Error error = error_from(failure(grpc::StatusCode::RESOURCE_EXHAUSTED, "the queue is full",
                                         {"QUEUE_FULL", "document.text", {{"model", "m"}}, 1500}));
  EXPECT_EQ(error.code(), StatusCode::resource_exhausted);
  EXPECT_EQ(error.message(), "the queue is full");
  EXPECT_EQ(error.reason(), "QUEUE_FULL");
  EXPECT_EQ(error.domain(), "sentinova");
  EXPECT_EQ(error.field(), "document.text");
  ASSERT_EQ(error.field_violations().size(), 1U);
  EXPECT_EQ(error.field_violations()[0].description, "is wrong");
  EXPECT_EQ(error.field_violations()[0].reason, "QUEUE_FULL");
  EXPECT_EQ(error.metadata(), (std::map<std::string, std::string>{{"model", "m"}}));
  EXPECT_EQ(error.retry_after(), 1500ms);
  EXPECT_STREQ(error.what(), "RESOURCE_EXHAUSTED (QUEUE_FULL): the queue is full");
}

TEST(Errors, DoWithoutDetails) {
  const Error error = error_from(grpc::Status{grpc::StatusCode::UNAVAILABLE, "gone"});
  EXPECT_EQ(error.code(), StatusCode::unavailable);
  EXPECT_EQ(error.reason(), "");
  EXPECT_EQ(error.field(), "");
  EXPECT_TRUE(error.metadata().empty());
  EXPECT_FALSE(error.retry_after());
  EXPECT_STREQ(error.what(), "UNAVAILABLE: gone");
  EXPECT_EQ(error_from(grpc::Status{grpc::StatusCode::INTERNAL, ""}).message(), "the server gave no reason");
}

TEST(Errors, AreNotHiddenByDamagedOrUnknownDetails) {
  EXPECT_EQ(error_from(grpc::Status{grpc::StatusCode::NOT_FOUND, "no", "\xff\xff"}).code(), StatusCode::not_found);
  auto status = test::rpc_status(grpc::StatusCode::NOT_FOUND, "no", {"MODEL_NOT_FOUND"});
  auto& damaged = *status.add_details();
  damaged.set_type_url("type.googleapis.com/google.rpc.RetryInfo");
  damaged.set_value("\xff\xff");
  status.add_details()->set_type_url("type.googleapis.com/some.other.Message");
  EXPECT_EQ(error_from(status).reason(), "MODEL_NOT_FOUND");
  status.set_code(99);
  EXPECT_EQ(error_from(status).code(), StatusCode::unknown);
}

TEST(Errors, HaveGrpcsNames) {
  EXPECT_EQ(name_of(StatusCode::ok), "OK");
  EXPECT_EQ(name_of(StatusCode::deadline_exceeded), "DEADLINE_EXCEEDED");
  EXPECT_EQ(name_of(StatusCode::data_loss), "DATA_LOSS");
  EXPECT_EQ(name_of(StatusCode::unauthenticated), "UNAUTHENTICATED");
  EXPECT_EQ(name_of(static_cast<StatusCode>(17)), "UNKNOWN");
  EXPECT_EQ(name_of(static_cast<StatusCode>(-1)), "UNKNOWN");
}

}  // namespace
}  // namespace sentinova::internal
