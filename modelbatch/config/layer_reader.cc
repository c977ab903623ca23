#include "modelbatch/config/layer_reader.h"

#include <cstddef>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "modelbatch/config/layer_kinds.h"
#include "modelbatch/config/nearest.h"
#include "modelbatch/config/sweep_reader.h"
#include "modelbatch/config/toml_document.h"
#include "modelbatch/model/layout.h"
#include "modelbatch/model/model_spec.h"

namespace modelbatch {
namespace {

// The message without `operator "0" (linear): `; the path says it already.
std::string WithoutOwner(const absl::Status& status) {
  const std::string message(status.message());
  const size_t end = message.find("): ");
  return end == std::string::npos ? message : message.substr(end + 3);
}

// Whether the layer's kind allows these attributes, whatever the graph.
absl::Status CheckAlone(const std::string& kind, Attributes attributes) {
  ModelSpec spec({1});
  spec.AddOperator({"", kind, {Operator::kModelInput}, std::move(attributes)});
  return InferLayout(spec).status();
}

AttributeValue NumberAttribute(const LayerAttribute& attribute, double value) {
  if (attribute.type == LayerAttribute::Type::kInt) {
    return static_cast<int64_t>(value);
  }
  return value;
}

class LayerReader {
 public:
  LayerReader(TableReader* table, bool grid) : table_(table), grid_(grid) {}

  LayerConfig Read() {
    LayerConfig layer;
    layer.name = table_->String("name", "");
    layer.kind = ReadKind();
    if (!table_->ok()) return layer;
    ReadInputs(&layer);
    for (const LayerAttribute& attribute :
         FindLayerKind(layer.kind)->attributes) {
      ReadAttribute(attribute, &layer);
    }
    table_->Finish();
    return layer;
  }

 private:
  std::string ReadKind() {
    const toml::node* node = table_->Find("kind");
    if (node != nullptr && node->is_table()) return ReadSweptKind();
    const std::string kind = table_->String("kind");
    if (table_->ok()) CheckKind(kind, table_->PathOf("kind"));
    return kind;
  }

  void CheckKind(const std::string& kind, const std::string& path) {
    if (FindLayerKind(kind) != nullptr) return;
    if (absl::Status status = CheckAlone(kind, {});
        status.code() == absl::StatusCode::kUnimplemented) {
      table_->FailAt(path, WithoutOwner(status));
      return;
    }
    std::vector<std::string> kinds;
    for (const LayerKind& k : LayerKinds()) kinds.push_back(k.kind);
    table_->FailAt(path, absl::StrCat("no layer \"", kind, "\"",
                                      SuggestName(kind, kinds)));
  }

  // { values = [...] }: models of several graphs can not share a batch.
  std::string ReadSweptKind() {
    TableReader table = table_->Table("kind");
    const toml::node* values = table.Find("values");
    const toml::array* array = values == nullptr ? nullptr : values->as_array();
    table.Finish();
    std::vector<std::string> kinds;
    for (size_t i = 0; array != nullptr && i < array->size(); ++i) {
      if (const auto* kind = array->get(i)->as_string()) {
        kinds.push_back(**kind);
      }
    }
    if (array == nullptr || kinds.empty() || kinds.size() != array->size()) {
      table_->Fail("kind", "expected a string");
      return "";
    }
    for (const std::string& kind : kinds) {
      CheckKind(kind, table_->PathOf("kind"));
      ModelSpec a({1});
      ModelSpec b({1});
      a.AddOperator({"", kinds[0], {Operator::kModelInput}, {}});
      b.AddOperator({"", kind, {Operator::kModelInput}, {}});
      absl::Status status =
          CheckSameGraph(a, absl::StrCat("a model with ", kinds[0]), b,
                         absl::StrCat("a model with ", kind));
      if (!status.ok()) {
        table_->Fail("kind", absl::StrCat(std::string(status.message()),
                                          ". Describe each in a file of its "
                                          "own"));
      }
    }
    return kinds[0];
  }

  void ReadInputs(LayerConfig* layer) {
    const toml::node* node = table_->Find("inputs");
    if (node == nullptr) return;
    const toml::array* array = node->as_array();
    for (size_t i = 0; array != nullptr && i < array->size(); ++i) {
      if (const auto* name = array->get(i)->as_string()) {
        layer->inputs.push_back(**name);
      }
    }
    if (array == nullptr || array->empty() ||
        layer->inputs.size() != array->size()) {
      table_->Fail("inputs",
                   "expected an array of layer names, or \"input\" "
                   "for the model's own input");
    }
  }

  void ReadAttribute(const LayerAttribute& attribute, LayerConfig* layer) {
    using Type = LayerAttribute::Type;
    if (table_->Find(attribute.name) == nullptr) {
      if (attribute.required) {
        table_->Missing(attribute.name,
                        absl::StrCat(attribute.type == Type::kInt ? "an integer"
                                                                  : "a value",
                                     ": a ", layer->kind, " layer has it"));
      }
      return;
    }
    switch (attribute.type) {
      case Type::kBool:
        layer->attributes[attribute.name] = table_->Bool(attribute.name, false);
        return;
      case Type::kString: {
        const std::string value = table_->String(attribute.name);
        const absl::Status status = Check(attribute, layer->kind, value);
        if (!status.ok()) {
          table_->Fail(attribute.name, std::string(status.message()));
        }
        layer->attributes[attribute.name] = value;
        return;
      }
      case Type::kInt:
      case Type::kFloat:
        break;
    }
    const CheckNumber check = [&](double value) {
      return Check(attribute, layer->kind, NumberAttribute(attribute, value));
    };
    layer->numbers[attribute.name] = ReadSweep(
        table_, attribute.name, attribute.type == Type::kInt, grid_, check);
  }

  // Whether a layer of `kind` may have this value. How initialisers' attributes
  // fit together is for the whole layer to say, in ExpandPopulation.
  static absl::Status Check(const LayerAttribute& attribute,
                            const std::string& kind, AttributeValue value) {
    if (attribute.initializer) return absl::OkStatus();
    const absl::Status status =
        CheckAlone(kind, {{attribute.name, std::move(value)}});
    return status.ok() ? status
                       : absl::InvalidArgumentError(WithoutOwner(status));
  }

  TableReader* table_;
  bool grid_;
};

}  // namespace

std::vector<LayerConfig> ReadLayers(TableReader* model, bool grid) {
  std::vector<LayerConfig> layers;
  const toml::node* node = model->Find("layers");
  const toml::array* array = node == nullptr ? nullptr : node->as_array();
  if (array == nullptr || array->empty()) {
    model->Fail("layers", node == nullptr
                              ? "missing, expected an array of layers such as "
                                "{ kind = \"linear\", out_features = 64 }"
                              : "expected an array of at least one layer");
    return layers;
  }
  const std::string path = model->PathOf("layers");
  std::map<std::string, size_t> names;
  for (size_t i = 0; i < array->size() && model->ok(); ++i) {
    const std::string at = absl::StrCat(path, "[", i, "]");
    const toml::table* table = array->get(i)->as_table();
    if (table == nullptr) {
      model->FailAt(at, absl::StrCat("expected a table such as "
                                     "{ kind = \"relu\" }, found ",
                                     DescribeToml(*array->get(i))));
      break;
    }
    TableReader reader(table, at, &model->source(), model->status());
    layers.push_back(LayerReader(&reader, grid).Read());
    const std::string& own = layers.back().name;
    const std::string name = own.empty() ? absl::StrCat(i) : own;
    const auto [other, is_new] = names.emplace(name, i);
    if (name == "input") {
      reader.Fail("name", "\"input\" is the model's input, expected another");
    } else if (!is_new) {
      model->FailAt(own.empty() ? at : at + ".name",
                    absl::StrCat("is named \"", name, "\" as ", path, "[",
                                 other->second, "] is, expected another"));
    }
  }
  return layers;
}

}  // namespace modelbatch
