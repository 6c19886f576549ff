/// The documents of a stream that have no answer yet, and the matching of answers to them.
///
/// Knows indices, ids and times. Must not know threads or calls: the exchange brings answers and times, the window says
/// what to send and what to hand out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "deadline.h"
#include "sentinova/results.h"

namespace sentinova::internal {

/// The unanswered documents of one stream. The caller keeps their number bounded.
class Window {
 public:
  /// A document to send.
  struct Message {
    std::uint64_t index;      ///< What it is called on the wire.
    const std::string& text;  ///< Lives until the document is answered.
  };

  /// @param ordered whether answers are handed out in the order of the input.
  explicit Window(bool ordered) : ordered_(ordered) {}

  /// Takes in the next document; gives its index.
  std::uint64_t admit(Document document, TimePoint now);

  /// Gives the next document to send, and counts it as sent.
  std::optional<Message> next_to_send();

  /// Counts every document without an answer as not sent: the call that carried them is gone.
  void send_again() noexcept { next_to_send_ = 0; }

  /// Takes in the outcome of a document, and gives the answers that may be handed out now.
  ///
  /// Throws `Error` INTERNAL, reason UNEXPECTED_ANSWER, where no document of that index waits for an answer.
  std::vector<Answer> settle(std::uint64_t index, Outcome outcome, TimePoint now);

  /// Number of documents without an answer.
  std::size_t waiting() const noexcept { return waiting_.size(); }

  /// Since when the next answer is waited for; nothing where no document waits.
  std::optional<TimePoint> waiting_since() const;

 private:
  struct Entry {
    std::string id;
    std::string text;
    TimePoint admitted;
  };

  bool ordered_;
  std::map<std::uint64_t, Entry> waiting_;  // by index, so the oldest first
  std::map<std::uint64_t, Answer> held_;    // answered before a predecessor was
  std::uint64_t admitted_ = 0;
  std::uint64_t next_to_send_ = 0;
  std::uint64_t next_in_order_ = 0;
  TimePoint last_answer_ = TimePoint::min();
};

/// Reads the index of a document out of the id that it had on the wire; nothing where it is none.
std::optional<std::uint64_t> index_from(const std::string& id);

}  // namespace sentinova::internal
