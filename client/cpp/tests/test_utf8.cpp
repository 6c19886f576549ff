#include <gtest/gtest.h>

#include "utf8.h"

namespace sentinova::internal {
namespace {

TEST(Utf8, TakesEveryLengthOfCharacter) {
  for (const char* text :
       {"", "plain", "\u00e9", "\u20ac", "\U0001F600", "a\u00e9\u20ac\U0001F600z", "\uD7FF", "\uE000", "\U0010FFFF"}) {
    EXPECT_FALSE(first_not_utf8(text)) << text;
  }
  EXPECT_FALSE(first_not_utf8(std::string_view{"a\0b", 3}));
}

TEST(Utf8, TellsWhereItEnds) {
  EXPECT_EQ(first_not_utf8("ab\xff"), 2U);
  EXPECT_EQ(first_not_utf8("\x80"), 0U);
  EXPECT_EQ(first_not_utf8("a\xc0\xaf"), 1U) << "overlong";
  EXPECT_EQ(first_not_utf8("\xe0\x9f\xbf"), 0U) << "overlong";
  EXPECT_EQ(first_not_utf8("\xf0\x8f\xbf\xbf"), 0U) << "overlong";
  EXPECT_EQ(first_not_utf8("\xed\xa0\x80"), 0U) << "surrogate";
  EXPECT_EQ(first_not_utf8("\xf4\x90\x80\x80"), 0U) << "above U+10FFFF";
  EXPECT_EQ(first_not_utf8("\xf5\x80\x80\x80"), 0U);
  EXPECT_EQ(first_not_utf8("abc\xe2\x82"), 3U) << "cut off";
  EXPECT_EQ(first_not_utf8("\xc3(x"), 0U);
}

}  // namespace
}  // namespace sentinova::internal
