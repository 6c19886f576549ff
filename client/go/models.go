package sentinova

// The models of a server: what they are, and the calls that ask for them.

import (
	"context"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/sentinova/sentinova/client/go/sentinova/v1"
)

// A VersionState is where a model version is in its life: LOADING, AVAILABLE, UNLOADING, END; or LOADING, FAILED.
type VersionState string

// The states of a model version.
const (
	// StateUnknown: a state that this package is too old to know, or none.
	StateUnknown VersionState = "UNKNOWN"
	// StateLoading: it takes no requests yet.
	StateLoading VersionState = "LOADING"
	// StateAvailable: it takes requests.
	StateAvailable VersionState = "AVAILABLE"
	// StateUnloading: it finishes the requests that it has.
	StateUnloading VersionState = "UNLOADING"
	// StateEnd: it is gone from memory.
	StateEnd VersionState = "END"
	// StateFailed: it could not be loaded; [VersionInfo.StateMessage] says why.
	StateFailed VersionState = "FAILED"
)

// A ModelInfo is a model of the server's repository.
type ModelInfo struct {
	// Name is the name of the model.
	Name string
	// Backend is what runs it: "openvino".
	Backend string
	// DefaultVersion is the version that answers where a request names none. 0: none is available.
	DefaultVersion int64
	// Versions are those that the version policy chose, in ascending order.
	Versions []VersionInfo
	// Message says what is wrong with the model as a whole, where something is.
	Message string
	// Weights are the percents of the requests without a version, by version. Empty: the default version gets all.
	Weights map[int64]uint32
	// ShadowVersion is the version that computes unseen what others answer. 0: none.
	ShadowVersion int64
	// Loaded tells whether the model is loaded, or to be loaded.
	Loaded bool
}

// A VersionInfo is one version of a model.
type VersionInfo struct {
	// Version is its number, 1 or more.
	Version int64
	// State is where it is in its life.
	State VersionState
	// StateMessage says why it is in this state, where there is something to say.
	StateMessage string
	// StateTime is when it entered this state. Zero where the server does not tell.
	StateTime time.Time
	// Inputs are the inputs of the model file. Empty until it has been read.
	Inputs []TensorInfo
	// Outputs are the outputs of the model file. Empty until it has been read.
	Outputs []TensorInfo
	// Labels are the names of the classes, in the order of the model's output.
	Labels []string
	// MaxTokens is the most tokens that it reads of one text, special tokens included.
	MaxTokens int
	// Format is the format of the model files: "paddle" or "openvino".
	Format string
	// Precision is what it computes in: "f32", "bf16" or "int8". Empty until it has been compiled.
	Precision string
	// MemoryBytes is what its weights take up in memory. 0 until it has been compiled.
	MemoryBytes int64
	// VersionLabels are the labels that name this version, in alphabetic order.
	VersionLabels []string
	// Weight is the percent of the requests without a version that go to it. 0 where the model has no weights.
	Weight uint32
}

// A TensorInfo is an input or output of a model.
type TensorInfo struct {
	// Name is the name of the tensor in the model file.
	Name string
	// Datatype is the element type in KServe v2 words: "INT64", "FP32".
	Datatype string
	// Shape has the size of each dimension. -1: any size.
	Shape []int64
}

// ListModels lists the models of the server, ordered by name.
func (c *Client) ListModels(ctx context.Context) ([]ModelInfo, error) {
	var found []ModelInfo
	for token := ""; ; {
		response, err := call(ctx, c, c.models.ListModels, &pb.ListModelsRequest{PageToken: token})
		if err != nil {
			return nil, err
		}
		for _, each := range response.GetModels() {
			found = append(found, makeModelInfo(each))
		}
		if token = response.GetNextPageToken(); token == "" {
			return found, nil
		}
	}
}

// GetModel gets one model. Where there is none of that name, the error is [ErrModelNotFound].
func (c *Client) GetModel(ctx context.Context, name string) (*ModelInfo, error) {
	if err := checkUnicode("name", name); err != nil {
		return nil, err
	}
	response, err := call(ctx, c, c.models.GetModel, &pb.GetModelRequest{Name: name})
	if err != nil {
		return nil, err
	}
	info := makeModelInfo(response.GetModel())
	return &info, nil
}

func makeModelInfo(message *pb.Model) ModelInfo {
	info := ModelInfo{
		Name:           message.GetName(),
		Backend:        message.GetBackend(),
		DefaultVersion: message.GetDefaultVersion(),
		Message:        message.GetMessage(),
		Weights:        map[int64]uint32{},
		ShadowVersion:  message.GetShadowVersion(),
		Loaded:         message.GetLoaded(),
	}
	for _, each := range message.GetVersions() {
		info.Versions = append(info.Versions, makeVersionInfo(each))
	}
	for _, each := range message.GetWeights() {
		info.Weights[each.GetVersion()] = each.GetPercent()
	}
	return info
}

func makeVersionInfo(message *pb.ModelVersion) VersionInfo {
	return VersionInfo{
		Version:       message.GetVersion(),
		State:         makeState(message.GetState()),
		StateMessage:  message.GetStateMessage(),
		StateTime:     makeTime(message.GetStateTime()),
		Inputs:        makeTensors(message.GetInputs()),
		Outputs:       makeTensors(message.GetOutputs()),
		Labels:        message.GetLabels(),
		MaxTokens:     int(message.GetMaxTokens()),
		Format:        message.GetFormat(),
		Precision:     message.GetPrecision(),
		MemoryBytes:   message.GetMemoryBytes(),
		VersionLabels: message.GetVersionLabels(),
		Weight:        message.GetWeight(),
	}
}

func makeTensors(messages []*pb.TensorMetadata) []TensorInfo {
	var tensors []TensorInfo
	for _, each := range messages {
		tensors = append(tensors, TensorInfo{each.GetName(), each.GetDatatype(), each.GetShape()})
	}
	return tensors
}

func makeState(state pb.ModelVersionState) VersionState {
	name, known := pb.ModelVersionState_name[int32(state)]
	if !known || state == pb.ModelVersionState_MODEL_VERSION_STATE_UNSPECIFIED {
		return StateUnknown
	}
	return VersionState(strings.TrimPrefix(name, "MODEL_VERSION_STATE_"))
}

func makeTime(message *timestamppb.Timestamp) time.Time {
	if message == nil {
		return time.Time{}
	}
	return message.AsTime()
}
