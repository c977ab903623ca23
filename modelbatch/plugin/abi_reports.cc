#include "modelbatch/plugin/abi_reports.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "modelbatch/tensor/dlpack.h"
#include "modelbatch/tensor/tensor.h"
#include "modelbatch/util/status_macros.h"

namespace modelbatch {
namespace {

template <typename... Args>
absl::Status Wrong(const Args&... args) {
  return absl::InvalidArgumentError(absl::StrCat(args...));
}

absl::StatusOr<Shape> ReadShape(const int64_t* sizes, size_t rank,
                                const std::string& name) {
  if (sizes == nullptr && rank > 0) {
    return Wrong(name, " is NULL, expected ", rank, " sizes");
  }
  Shape shape(sizes, sizes + rank);
  for (const int64_t size : shape) {
    if (size < 0) {
      return Wrong(name, " is ", ShapeToString(shape),
                   ", expected no negative size");
    }
  }
  return shape;
}

absl::StatusOr<StateTensor> ReadState(const MB_StateInfo& info,
                                      const std::string& name) {
  if (info.slot == nullptr) return Wrong(name, ".slot is NULL");
  StateTensor state;
  state.slot = info.slot;
  if (info.parameter != nullptr) state.parameter = info.parameter;
  MB_ASSIGN_OR_RETURN(state.dtype, ToDType(info.dtype, name));
  MB_ASSIGN_OR_RETURN(state.shape, ReadShape(info.shape, info.rank,
                                             absl::StrCat(name, ".shape")));
  return state;
}

absl::StatusOr<TuneOrigin> ReadOrigin(const char* origin,
                                      const std::string& name) {
  const std::string text = origin == nullptr ? "NULL" : origin;
  for (const TuneOrigin known :
       {TuneOrigin::kDefault, TuneOrigin::kMeasured, TuneOrigin::kCached}) {
    if (text == TuneOriginName(known)) return known;
  }
  return Wrong(name, ".origin is ", text,
               ", expected default, measured or cached");
}

}  // namespace

AbiDescription::AbiDescription(ModelDescription description)
    : description_(std::move(description)) {
  for (const StateTensor& state : description_.states) {
    MB_StateInfo& info = states_.emplace_back();
    info = {};
    info.slot = state.slot.c_str();
    info.parameter =
        state.parameter.empty() ? nullptr : state.parameter.c_str();
    info.dtype = ToDLDataType(state.dtype);
    info.shape = state.shape.data();
    info.rank = state.shape.size();
  }
}

void AbiDescription::Fill(MB_DescribeArgs* args) const {
  args->states = states_.data();
  args->num_states = states_.size();
  args->output_shape = description_.output.data();
  args->output_rank = description_.output.size();
}

AbiTuneReport::AbiTuneReport(TuneReport report) : report_(std::move(report)) {
  for (const TuneChoice& choice : report_.choices) {
    choices_.push_back({choice.operation.c_str(), choice.choice.c_str(),
                        TuneOriginName(choice.origin), choice.uses,
                        choice.candidates, choice.default_seconds,
                        choice.seconds});
  }
}

void AbiTuneReport::Fill(MB_TuneArgs* args) const {
  args->choices = choices_.data();
  args->num_choices = choices_.size();
  args->notes = report_.notes.c_str();
  args->seconds = report_.seconds;
}

absl::StatusOr<ModelDescription> ReadDescription(const MB_DescribeArgs& args) {
  if (args.states == nullptr && args.num_states > 0) {
    return Wrong("states is NULL, expected ", args.num_states, " entries");
  }
  ModelDescription description;
  for (size_t i = 0; i < args.num_states; ++i) {
    MB_ASSIGN_OR_RETURN(
        StateTensor state,
        ReadState(args.states[i], absl::StrCat("states[", i, "]")));
    description.states.push_back(std::move(state));
  }
  MB_ASSIGN_OR_RETURN(
      description.output,
      ReadShape(args.output_shape, args.output_rank, "output_shape"));
  return description;
}

absl::StatusOr<TuneReport> ReadTuneReport(const MB_TuneArgs& args) {
  if (args.choices == nullptr && args.num_choices > 0) {
    return Wrong("choices is NULL, expected ", args.num_choices, " entries");
  }
  if (args.notes == nullptr) return Wrong("notes is NULL");
  TuneReport report;
  report.notes = args.notes;
  report.seconds = args.seconds;
  for (size_t i = 0; i < args.num_choices; ++i) {
    const MB_TuneChoice& from = args.choices[i];
    const std::string name = absl::StrCat("choices[", i, "]");
    if (from.operation == nullptr || from.choice == nullptr) {
      return Wrong(name, from.operation == nullptr ? ".operation" : ".choice",
                   " is NULL");
    }
    TuneChoice& choice = report.choices.emplace_back();
    choice.operation = from.operation;
    choice.choice = from.choice;
    MB_ASSIGN_OR_RETURN(choice.origin, ReadOrigin(from.origin, name));
    choice.uses = from.uses;
    choice.candidates = from.candidates;
    choice.default_seconds = from.default_seconds;
    choice.seconds = from.seconds;
  }
  return report;
}

absl::Status CheckDescription(const ModelDescription& description,
                              const Layout& layout) {
  std::map<std::string, const StateTensor*> told;
  for (const StateTensor& state : description.states) {
    if (state.slot != "param") continue;
    if (!told.emplace(state.parameter, &state).second) {
      return Wrong("parameter ", state.parameter, " comes twice");
    }
  }
  for (const Parameter& parameter : layout.parameters) {
    const auto it = told.find(parameter.name);
    if (it == told.end()) {
      return Wrong("parameter ", parameter.name, " is missing");
    }
    const StateTensor& state = *it->second;
    if (state.dtype != DType::kFloat32 || state.shape != parameter.shape) {
      return Wrong("parameter ", parameter.name, " is ", DTypeName(state.dtype),
                   " ", ShapeToString(state.shape), ", expected float32 ",
                   ShapeToString(parameter.shape));
    }
    told.erase(it);
  }
  if (!told.empty()) {
    return Wrong("parameter ", told.begin()->first,
                 " is not one of the model's");
  }
  if (description.output != layout.output()) {
    return Wrong("the output is ", ShapeToString(description.output),
                 ", expected ", ShapeToString(layout.output()));
  }
  return absl::OkStatus();
}

}  // namespace modelbatch
