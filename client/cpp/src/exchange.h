/// Both directions of one stream: the input is read by a thread, answers are taken in the caller's, and gRPC's threads
/// write and read between them. Where a call breaks, another one takes its place.
///
/// Knows threads and calls. Must not know how answers are matched: the window does.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "cancel_registration.h"
#include "core.h"
#include "sentinova/answer_stream.h"
#include "waits.h"
#include "window.h"

namespace sentinova::internal {

class Exchange {
 public:
  /// Throws std::invalid_argument where an option makes no sense.
  Exchange(std::shared_ptr<const Core> core, DocumentSource source, const StreamOptions& options);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  /// As `AnswerStream::next`.
  std::optional<Answer> next();

  /// As `AnswerStream::cancel`.
  void cancel();

 private:
  class Call;  // one attempt; its members are guarded by `mutex_` too
  using Lock = std::unique_lock<std::mutex>;

  // In the thread that reads the input.
  void read_input();
  bool take_place();
  void admit(Document document);

  // In the caller's thread.
  void begin();
  bool over(Lock& lock);
  void keep_call();
  void take_end();
  void check_patience(TimePoint entered);
  void wait(Lock& lock, TimePoint entered);
  std::optional<TimePoint> patience_end(TimePoint entered) const;
  void bid_farewell(Lock& lock);

  // In any thread, under the lock.
  void settle(std::uint64_t index, Outcome outcome);
  void note_progress();
  void fail(Error error);

  const std::shared_ptr<const Core> core_;
  const DocumentSource source_;
  const StreamOptions options_;
  const v1::AnalysisConfig config_;
  const std::optional<Duration> patience_;

  std::mutex mutex_;
  std::condition_variable places_;  // a place in the window has become free, or the stream is over
  std::condition_variable events_;  // something has happened that the caller may wait for
  Window window_;
  std::deque<Answer> ready_;
  std::size_t taken_places_ = 0;
  bool stopping_ = false;
  bool input_ended_ = false;
  std::exception_ptr input_failure_;
  std::optional<Error> failure_;  // of the stream as a whole

  std::unique_ptr<Call> call_;
  std::optional<Error> broken_by_;  // why the last call ended, until an answer comes
  int breaks_in_a_row_ = 0;
  Waits waits_;
  TimePoint resume_at_ = TimePoint::min();

  std::optional<Deadline> deadline_;  // from the first `next` on
  std::thread reader_;
  std::optional<CancelRegistration> registration_;
};

}  // namespace sentinova::internal
