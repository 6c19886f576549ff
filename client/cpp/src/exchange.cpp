#include "exchange.h"

#include <grpcpp/support/client_callback.h>

#include <stdexcept>
#include <utility>

#include "conversion.h"
#include "status.h"

namespace sentinova::internal {
namespace {

using Request = v1::StreamAnalyzeSentimentRequest;
using Response = v1::StreamAnalyzeSentimentResponse;

constexpr Duration kFarewell = std::chrono::seconds{5};  // for the server to end a stream that is done

const StreamOptions& checked(const StreamOptions& options) {
  check_timeout(options.timeout);
  check_timeout(options.total_timeout);
  if (options.max_in_flight < 1) throw std::invalid_argument("max_in_flight must be 1 or more");
  return options;
}

DocumentSource checked(DocumentSource source) {
  if (!source) throw std::invalid_argument("a stream needs a source of documents");
  return source;
}

}  // namespace

/// One attempt at the call.
///
/// gRPC runs the reactions in threads of its own, never within a call of a Start function, so these may be called under
/// the lock. A hold keeps the call from being done while writes may follow that no reaction starts.
class Exchange::Call final : public grpc::ClientBidiReactor<Request, Response> {
 public:
  explicit Call(Exchange& owner) : owner_(owner) {}

  /// Starts the call with its configuration.
  void start() {
    // Without a deadline of its own: the time of the whole stream.
    owner_.core_->prepare(context_, *owner_.deadline_, owner_.core_->options().wait_for_ready);
    owner_.core_->sentiment().async()->StreamAnalyzeSentiment(&context_, this);
    *outgoing_.mutable_config() = owner_.config_;
    AddHold();
    StartWrite(&outgoing_);
    StartRead(&incoming_);
    StartCall();
  }

  /// Writes what can be written now.
  void pump() {
    if (writing_ || !open_) return;
    if (const auto message = owner_.window_.next_to_send()) {
      outgoing_.mutable_document()->set_id(std::to_string(message->index));
      outgoing_.mutable_document()->set_text(message->text);
      writing_ = true;
      StartWrite(&outgoing_);
    } else if (owner_.input_ended_) {
      StartWritesDone();
      close();
    }
  }

  /// Gives the call up.
  void cancel() {
    context_.TryCancel();
    close();
  }

  /// The status that the call ended with; nothing: it has not ended.
  const std::optional<grpc::Status>& status() const { return status_; }

 private:
  void OnWriteDone(bool ok) override {
    const Lock lock{owner_.mutex_};
    writing_ = false;
    if (ok) {
      pump();
    } else {
      close();
    }
  }

  void OnReadDone(bool ok) override {
    const Lock lock{owner_.mutex_};
    if (!ok) {
      close();
      return;
    }
    try {
      owner_.settle(index_from(incoming_.id()).value_or(UINT64_MAX), outcome_from(incoming_));
      owner_.note_progress();
    } catch (const Error& error) {
      owner_.fail(error);
      cancel();
    }
    StartRead(&incoming_);
  }

  void OnDone(const grpc::Status& status) override {
    const Lock lock{owner_.mutex_};
    status_ = status;
    owner_.events_.notify_all();
  }

  /// Writes no more.
  void close() {
    if (std::exchange(open_, false)) RemoveHold();
  }

  Exchange& owner_;
  grpc::ClientContext context_;
  Request outgoing_;
  Response incoming_;
  bool open_ = true;
  bool writing_ = true;  // the configuration
  std::optional<grpc::Status> status_;
};

Exchange::Exchange(std::shared_ptr<const Core> core, DocumentSource source, const StreamOptions& options)
    : core_(std::move(core)),
      source_(checked(std::move(source))),
      options_(checked(options)),
      config_(analysis_config(options)),
      patience_(bounded(options.timeout ? options.timeout : core_->options().timeout)),
      window_(options.ordered) {}

Exchange::~Exchange() {
  registration_.reset();
  {
    Lock lock{mutex_};
    stopping_ = true;
    places_.notify_all();
    if (call_) {
      call_->cancel();
      events_.wait(lock, [this] { return call_->status().has_value(); });
    }
  }
  if (reader_.joinable()) reader_.join();
}

std::optional<Answer> Exchange::next() {
  begin();
  const TimePoint entered = Clock::now();
  Lock lock{mutex_};
  for (;;) {
    if (!ready_.empty()) {
      Answer answer = std::move(ready_.front());
      ready_.pop_front();
      --taken_places_;
      places_.notify_one();
      return answer;
    }
    if (over(lock)) return std::nullopt;
    keep_call();
    check_patience(entered);
    if (!failure_ && ready_.empty()) wait(lock, entered);
  }
}

void Exchange::cancel() {
  const Lock lock{mutex_};
  fail({StatusCode::cancelled, "the stream was cancelled"});
  if (call_) call_->cancel();
}

/// Starts with the first `next`: an exchange that nobody listens to reads nothing.
void Exchange::begin() {
  if (deadline_) return;
  deadline_.emplace(options_.total_timeout);
  reader_ = std::thread{&Exchange::read_input, this};
  registration_.emplace(options_.cancellation, [this] { cancel(); });
}

/// Tells whether there is nothing more to hand out; throws what ended the stream early.
bool Exchange::over(Lock& lock) {
  if (failure_) {
    const Error error = *failure_;
    const std::optional<Error> before = broken_by_;
    lock.unlock();
    throw core_->explained(error, before);
  }
  if (!input_ended_ || window_.waiting() > 0) return false;
  bid_farewell(lock);
  if (input_failure_) std::rethrow_exception(std::exchange(input_failure_, nullptr));
  return true;
}

/// Lets the server end a call whose documents are all answered, so that it counts as gone well.
void Exchange::bid_farewell(Lock& lock) {
  if (!call_) return;
  const auto ended = [this] { return call_->status().has_value(); };
  if (!events_.wait_for(lock, kFarewell, ended)) {
    call_->cancel();
    events_.wait(lock, ended);
  }
  call_.reset();
}

/// Takes in the end of a call, and begins another where there is something to send.
void Exchange::keep_call() {
  if (call_ && call_->status()) take_end();
  if (call_ || failure_ || window_.waiting() == 0 || Clock::now() < resume_at_) return;
  call_ = std::make_unique<Call>(*this);
  call_->start();
}

void Exchange::take_end() {
  const grpc::Status status = *call_->status();
  call_.reset();
  window_.send_again();
  if (status.ok()) {
    if (window_.waiting() == 0) return;  // early, but nothing is lost; more documents are another call's
    fail({StatusCode::internal, "the server ended the stream with documents unanswered", {"STREAM_CUT"}});
    return;
  }
  const Error error = error_from(status);
  ++breaks_in_a_row_;
  const ClientOptions& settings = core_->options();
  const bool again = settings.attempts > 1 && (settings.wait_for_ready || breaks_in_a_row_ < settings.attempts);
  if (!means_away(error) || !again) {
    fail(error);
    return;
  }
  broken_by_ = error;
  resume_at_ = Clock::now() + waits_.after(error);
}

/// Fails the stream where its time is up, or no answer has come for too long.
void Exchange::check_patience(TimePoint entered) {
  if (failure_) return;
  const TimePoint now = Clock::now();
  const auto late = patience_end(entered);
  const bool total = deadline_->at() && *deadline_->at() <= now;
  if (!total && !(late && *late <= now)) return;
  std::string message = total ? "the time of the stream is up" : "no answer came for too long";
  message += " while " + std::to_string(window_.waiting()) + " documents waited for theirs";
  fail({StatusCode::deadline_exceeded, message});
  if (call_) call_->cancel();
}

/// Gives when the wait for the next answer becomes too long. A caller that was away has not waited.
std::optional<TimePoint> Exchange::patience_end(TimePoint entered) const {
  const auto since = window_.waiting_since();
  return since && patience_ ? std::optional{std::max(entered, *since) + *patience_} : std::nullopt;
}

/// Waits until something happens, or something is due.
void Exchange::wait(Lock& lock, TimePoint entered) {
  std::optional<TimePoint> due = patience_end(entered);
  const auto or_at = [&due](TimePoint at) { due = due ? std::min(*due, at) : at; };
  if (const auto& at = deadline_->at()) or_at(*at);
  if (!call_ && window_.waiting() > 0) or_at(resume_at_);
  if (due) {
    events_.wait_until(lock, *due);
  } else {
    events_.wait(lock);
  }
}

void Exchange::read_input() {
  std::exception_ptr failure;
  try {
    while (take_place()) {
      std::optional<Document> document = source_();
      if (!document) break;
      admit(*std::move(document));
    }
  } catch (...) {  // the caller's own failure, thrown again in the caller's thread
    failure = std::current_exception();
  }
  const Lock lock{mutex_};
  input_failure_ = failure;
  input_ended_ = true;
  if (call_) call_->pump();
  events_.notify_all();
}

/// Waits for a place in the window; gives false where no document is wanted any more.
bool Exchange::take_place() {
  Lock lock{mutex_};
  places_.wait(lock, [this] { return stopping_ || failure_ || taken_places_ < options_.max_in_flight; });
  if (stopping_ || failure_) return false;
  ++taken_places_;
  return true;
}

void Exchange::admit(Document document) {
  std::optional<Error> refused;
  try {
    check_text(document.text);
  } catch (const Error& error) {
    refused = error;
  }
  const Lock lock{mutex_};
  const std::uint64_t index = window_.admit(std::move(document), Clock::now());
  if (refused) settle(index, *refused);
  if (call_) call_->pump();
  // The caller has to know of it only where it is to begin a call, or to wait no longer than its patience from now on.
  if (!call_ || window_.waiting() == 1) events_.notify_all();
}

void Exchange::settle(std::uint64_t index, Outcome outcome) {
  for (Answer& answer : window_.settle(index, std::move(outcome), Clock::now())) ready_.push_back(std::move(answer));
  events_.notify_all();
}

/// The server answers: what breaks next is a break of its own.
void Exchange::note_progress() {
  broken_by_.reset();
  breaks_in_a_row_ = 0;
  waits_.reset();
}

void Exchange::fail(Error error) {
  if (!failure_) failure_ = std::move(error);
  places_.notify_all();
  events_.notify_all();
}

}  // namespace sentinova::internal
