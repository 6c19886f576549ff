/// Whether bytes are text.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace sentinova::internal {

/// Gives the position of the first byte that is not part of valid UTF-8 (RFC 3629: no overlong forms, no surrogates,
/// nothing above U+10FFFF); nothing where all is valid.
std::optional<std::size_t> first_not_utf8(std::string_view text) noexcept;

}  // namespace sentinova::internal
