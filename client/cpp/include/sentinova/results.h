/// What the server answers about texts, as plain values.
///
/// Knows the shape of answers. Must not know gRPC or protobuf.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "sentinova/error.h"

namespace sentinova {

/// A class of the model with its score.
struct ClassScore {
  std::string label;  ///< Name of the class, as the model defines it.
  float score = 0;    ///< Its probability, from 0 to 1.
};

/// Where the time of one document went, as the server measured it.
struct Timings {
  Duration tokenization{};  ///< Turning the text into token ids.
  Duration queue{};         ///< Waiting for a free place in a batch.
  Duration inference{};     ///< Running the model on the batch that held the document.
};

/// The sentiment of one document.
struct Sentiment {
  std::string label;               ///< The class with the highest score.
  float score = 0;                 ///< The score of `label`, from 0 to 1.
  std::vector<ClassScore> scores;  ///< Every class, in the model's order; the scores sum to 1.
  std::string model;               ///< Name of the model that answered.
  std::int64_t version = 0;        ///< Version of the model that answered.
  std::int32_t token_count = 0;    ///< Number of tokens that the model read, special tokens included.
  bool truncated = false;          ///< Whether the text was longer than the model reads and its end was left out.
  Timings timings;                 ///< Where the time went.
};

/// Either the sentiment of a document or the error that says why there is none.
class Outcome {
 public:
  Outcome(Sentiment sentiment) : value_(std::move(sentiment)) {}  // NOLINT(google-explicit-constructor)
  Outcome(Error error) : value_(std::move(error)) {}              // NOLINT(google-explicit-constructor)

  /// Tells whether there is a sentiment.
  bool ok() const noexcept { return std::holds_alternative<Sentiment>(value_); }
  explicit operator bool() const noexcept { return ok(); }

  /// Gives the sentiment, or throws the error in its place.
  const Sentiment& value() const {
    if (!ok()) throw std::get<Error>(value_);
    return std::get<Sentiment>(value_);
  }
  const Sentiment& operator*() const { return value(); }
  const Sentiment* operator->() const { return &value(); }

  /// Gives the error; throws std::bad_variant_access where there is a sentiment.
  const Error& error() const { return std::get<Error>(value_); }

 private:
  std::variant<Sentiment, Error> value_;
};

/// A document of a stream.
struct Document {
  std::string text;     ///< The text, as UTF-8.
  std::string id = {};  ///< The caller's own name for it, given back with the answer; empty: its index, as text.
};

/// The answer for one document of a stream.
struct Answer {
  std::uint64_t index;  ///< Position of the document in the input, from 0.
  std::string id;       ///< The caller's name for the document.
  Outcome outcome;      ///< Its sentiment, or its error, which concerns this document alone.
};

}  // namespace sentinova
