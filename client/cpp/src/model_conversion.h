/// Conversion from the messages of the model service to plain values.
///
/// Knows both shapes, and nothing else.
#pragma once

#include "sentinova/models.h"
#include "sentinova/v1/model_service.pb.h"

namespace sentinova::internal {

/// Gives a model as a plain value.
ModelInfo model_from(const v1::Model& message);

/// Gives what a watch tells as a plain value.
ModelEvent event_from(const v1::WatchModelsResponse& message);

}  // namespace sentinova::internal
