#include "utf8.h"

namespace sentinova::internal {
namespace {

using Byte = unsigned char;

bool between(Byte byte, Byte low, Byte high) noexcept { return low <= byte && byte <= high; }

/// Gives the length of the character that begins the text, or 0 where none does. RFC 3629, section 4.
std::size_t character_length(std::string_view text) noexcept {
  const auto byte = [text](std::size_t at) { return at < text.size() ? static_cast<Byte>(text[at]) : Byte{0}; };
  const auto tail = [&byte](std::size_t at) { return between(byte(at), 0x80, 0xBF); };
  const Byte first = byte(0);
  if (first < 0x80) return 1;
  if (between(first, 0xC2, 0xDF)) return tail(1) ? 2 : 0;
  if (between(first, 0xE0, 0xEF)) {
    const Byte low = first == 0xE0 ? 0xA0 : 0x80;
    const Byte high = first == 0xED ? 0x9F : 0xBF;
    return between(byte(1), low, high) && tail(2) ? 3 : 0;
  }
  if (between(first, 0xF0, 0xF4)) {
    const Byte low = first == 0xF0 ? 0x90 : 0x80;
    const Byte high = first == 0xF4 ? 0x8F : 0xBF;
    return between(byte(1), low, high) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

std::optional<std::size_t> first_not_utf8(std::string_view text) noexcept {
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t length = character_length(text.substr(at, 4));
    if (length == 0) return at;
    at += length;
  }
  return std::nullopt;
}

}  // namespace sentinova::internal
