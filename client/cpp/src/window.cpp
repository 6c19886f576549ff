#include "window.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace sentinova::internal {

std::uint64_t Window::admit(Document document, TimePoint now) {
  const std::uint64_t index = admitted_++;
  if (document.id.empty()) document.id = std::to_string(index);
  waiting_.emplace(index, Entry{std::move(document.id), std::move(document.text), now});
  return index;
}

std::optional<Window::Message> Window::next_to_send() {
  const auto next = waiting_.lower_bound(next_to_send_);
  if (next == waiting_.end()) return std::nullopt;
  next_to_send_ = next->first + 1;
  return Message{next->first, next->second.text};
}

std::vector<Answer> Window::settle(std::uint64_t index, Outcome outcome, TimePoint now) {
  const auto entry = waiting_.find(index);
  if (entry == waiting_.end()) {
    throw Error{StatusCode::internal, "the server answered a document that waits for no answer", {"UNEXPECTED_ANSWER"}};
  }
  Answer answer{index, std::move(entry->second.id), std::move(outcome)};
  waiting_.erase(entry);
  last_answer_ = now;
  std::vector<Answer> ready;
  if (!ordered_) {
    ready.push_back(std::move(answer));
    return ready;
  }
  held_.emplace(index, std::move(answer));
  for (auto first = held_.begin(); first != held_.end() && first->first == next_in_order_; ++next_in_order_) {
    ready.push_back(std::move(first->second));
    first = held_.erase(first);
  }
  return ready;
}

std::optional<TimePoint> Window::waiting_since() const {
  if (waiting_.empty()) return std::nullopt;
  return std::max(waiting_.begin()->second.admitted, last_answer_);
}

std::optional<std::uint64_t> index_from(const std::string& id) {
  std::uint64_t index = 0;
  const char* const end = id.data() + id.size();
  const auto [stop, problem] = std::from_chars(id.data(), end, index);
  return problem == std::errc{} && stop == end ? std::optional{index} : std::nullopt;
}

}  // namespace sentinova::internal
