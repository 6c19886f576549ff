/// Conversion between the plain values and the messages of the sentiment service.
///
/// Knows both shapes, and nothing else: no channels, no threads, no clocks.
#pragma once

#include <string>
#include <string_view>

#include "sentinova/options.h"
#include "sentinova/results.h"
#include "sentinova/v1/sentiment_service.pb.h"

namespace sentinova::internal {

/// Makes the configuration of a call; throws std::invalid_argument where the version and its label are both given, or a
/// name is not UTF-8.
v1::AnalysisConfig analysis_config(const AnalysisOptions& options);

/// Checks that a text can be sent at all; throws `Error` INVALID_ARGUMENT where it is not UTF-8, as one such text would
/// have the server refuse the whole message.
void check_text(std::string_view text);

/// Checks a name in a request; throws std::invalid_argument where it is not UTF-8.
void check_name(const char* what, std::string_view name);

/// Gives a result as a plain value.
Sentiment sentiment_from(const v1::SentimentResult& message);

/// Gives the outcome of one document of a batch or a stream.
Outcome outcome_from(const v1::DocumentResult& answer);
Outcome outcome_from(const v1::StreamAnalyzeSentimentResponse& answer);

}  // namespace sentinova::internal
