/* The smallest complete ModelBatch backend, in C11 with no other dependency:
 * chains of linear and relu, mean squared error, SGD. It runs one model after
 * another with plain loops; start from it when you write your own.
 *
 * Conventions of the boundary: modelbatch/plugin/c_api.h. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modelbatch/plugin/c_api.h"

/* ---- Errors ------------------------------------------------------------- */

struct MB_Error {
  int32_t code;
  char message[256];
};

static struct MB_Error kOutOfMemory = {MB_RESOURCE_EXHAUSTED, "out of memory"};

static MB_Error* Fail(int32_t code, const char* format, ...) {
  MB_Error* error = malloc(sizeof(*error));
  if (error == NULL) return &kOutOfMemory;
  error->code = code;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error->message, sizeof(error->message), format, arguments);
  va_end(arguments);
  return error;
}

static int32_t ErrorCode(const MB_Error* error) { return error->code; }
static const char* ErrorMessage(const MB_Error* error) {
  return error->message;
}
static void ErrorDestroy(MB_Error* error) {
  if (error != &kOutOfMemory) free(error);
}

/* Every call begins so: the caller knows at least the fields of 1.0. */
#define CHECK_ARGS(type, args, last_field)                              \
  do {                                                                  \
    if ((args) == NULL ||                                               \
        (args)->header.struct_size < MB_SIZE(type, last_field))         \
      return Fail(MB_INVALID_ARGUMENT, #type ": struct_size is short"); \
  } while (0)

#define CHECK_POINTER(pointer)                                  \
  do {                                                          \
    if ((pointer) == NULL)                                      \
      return Fail(MB_INVALID_ARGUMENT, "%s is NULL", #pointer); \
  } while (0)

/* ---- What a session holds ------------------------------------------------ */

struct MB_Backend {
  int unused;
};

struct MB_Dataset {
  MB_DLManagedTensor* features;
  MB_DLManagedTensor* targets; /* may be NULL */
  int64_t rows, row_size, target_size;
};

typedef struct Tensor {
  char name[80]; /* "0.weight" */
  int64_t shape[2];
  int rank;
  int64_t size;
  float *value, *gradient, *momentum;
} Tensor;

typedef struct Layer {
  int is_linear; /* else relu */
  int64_t in, out;
  int weight, bias; /* indices of tensors, bias -1: none */
  float* output;    /* [max_rows, out] */
  float* gradient;  /* of the output */
} Layer;

typedef struct Model {
  int64_t id, input_size, output_size, updates;
  Layer* layers;
  size_t num_layers;
  Tensor* tensors;
  size_t num_tensors;
  float* input; /* [max_rows, input_size], of the current rows */
} Model;

struct MB_Session {
  Model* models;
  size_t num_models;
  int64_t max_rows;
  int has_optimizer, has_gradients;
};

/* ---- Compiling ----------------------------------------------------------- */

static const MB_NamedValue* FindAttribute(const MB_Operator* op,
                                          const char* name) {
  for (size_t i = 0; i < op->num_attributes; ++i) {
    if (strcmp(op->attributes[i].name, name) == 0) return &op->attributes[i];
  }
  return NULL;
}

static MB_Error* AddTensor(Model* model, const char* op, const char* name,
                           int rank, int64_t rows, int64_t cols) {
  Tensor* tensor = &model->tensors[model->num_tensors];
  const int length =
      snprintf(tensor->name, sizeof(tensor->name), "%s.%s", op, name);
  if (length < 0 || (size_t)length >= sizeof(tensor->name)) {
    return Fail(MB_UNIMPLEMENTED, "operator \"%.40s...\": the name is too long",
                op);
  }
  tensor->rank = rank;
  tensor->shape[0] = rows;
  tensor->shape[1] = cols;
  tensor->size = rank == 2 ? rows * cols : rows;
  tensor->value = calloc(tensor->size, sizeof(float));
  tensor->gradient = calloc(tensor->size, sizeof(float));
  tensor->momentum = calloc(tensor->size, sizeof(float));
  ++model->num_tensors; /* counted first, so that it is freed */
  if (!tensor->value || !tensor->gradient || !tensor->momentum) {
    return &kOutOfMemory;
  }
  return NULL;
}

static MB_Error* CompileLinear(Model* model, const MB_Operator* op,
                               Layer* layer) {
  const MB_NamedValue* out = FindAttribute(op, "out_features");
  const MB_NamedValue* bias = FindAttribute(op, "bias");
  for (size_t i = 0; i < op->num_attributes; ++i) {
    const MB_NamedValue* a = &op->attributes[i];
    if (a != out && a != bias) {
      return Fail(MB_INVALID_ARGUMENT,
                  "model %lld, operator \"%s\" (linear): unknown attribute %s",
                  (long long)model->id, op->name, a->name);
    }
  }
  if (out == NULL || out->type != MB_VALUE_INT64 || out->i < 1 ||
      out->i > 1 << 20) {
    return Fail(MB_INVALID_ARGUMENT,
                "model %lld, operator \"%s\" (linear): out_features must be an "
                "integer from 1 to 2^20",
                (long long)model->id, op->name);
  }
  if (bias != NULL && bias->type != MB_VALUE_BOOL) {
    return Fail(MB_INVALID_ARGUMENT,
                "model %lld, operator \"%s\" (linear): bias must be a bool",
                (long long)model->id, op->name);
  }
  layer->is_linear = 1;
  layer->out = out->i;
  layer->weight = (int)model->num_tensors;
  MB_Error* error =
      AddTensor(model, op->name, "weight", 2, layer->out, layer->in);
  if (error != NULL || (bias != NULL && bias->i == 0)) return error;
  layer->bias = (int)model->num_tensors;
  return AddTensor(model, op->name, "bias", 1, layer->out, 0);
}

static MB_Error* CompileOperator(Model* model, const MB_Operator* op,
                                 int32_t index, Layer* layer,
                                 int64_t max_rows) {
  layer->in = index == 0 ? model->input_size : layer[-1].out;
  layer->out = layer->in;
  layer->bias = layer->weight = -1;
  const int is_linear = strcmp(op->kind, "linear") == 0;
  if (op->num_inputs != 1) {
    return Fail(MB_INVALID_ARGUMENT,
                "model %lld, operator \"%s\" (%s) has %zu inputs, expected 1",
                (long long)model->id, op->name, op->kind, op->num_inputs);
  }
  if (op->inputs[0] != index - 1) {
    return Fail(MB_UNIMPLEMENTED,
                "model %lld, operator \"%s\": this backend has chains only",
                (long long)model->id, op->name);
  }
  if (is_linear) {
    MB_Error* error = CompileLinear(model, op, layer);
    if (error != NULL) return error;
  } else if (op->num_attributes > 0) {
    return Fail(MB_INVALID_ARGUMENT,
                "model %lld, operator \"%s\" (relu): unknown attribute %s",
                (long long)model->id, op->name, op->attributes[0].name);
  }
  layer->output = calloc(max_rows * layer->out, sizeof(float));
  layer->gradient = calloc(max_rows * layer->out, sizeof(float));
  return layer->output && layer->gradient ? NULL : &kOutOfMemory;
}

static MB_Error* CompileModel(Model* model, const MB_Model* spec,
                              int64_t max_rows) {
  CHECK_ARGS(MB_Model, spec, num_operators);
  model->id = spec->id;
  if (spec->num_operators == 0 || spec->input_rank == 0) {
    return Fail(MB_INVALID_ARGUMENT,
                "model %lld: expected operators and an input of one dimension",
                (long long)model->id);
  }
  for (size_t i = 0; i < spec->num_operators; ++i) {
    const MB_Operator* op = &spec->operators[i];
    if (strcmp(op->kind, "linear") == 0 || strcmp(op->kind, "relu") == 0) {
      continue;
    }
    return Fail(MB_UNIMPLEMENTED,
                "model %lld, operator \"%s\": kind %s is not in this backend",
                (long long)model->id, op->name, op->kind);
  }
  if (spec->input_rank > 1) {
    return Fail(MB_UNIMPLEMENTED,
                "model %lld: this backend has inputs of one dimension only",
                (long long)model->id);
  }
  if (spec->input_shape[0] < 1 || spec->input_shape[0] > 1 << 20) {
    return Fail(MB_INVALID_ARGUMENT,
                "model %lld: input size is %lld, expected 1 to 2^20",
                (long long)model->id, (long long)spec->input_shape[0]);
  }
  model->input_size = spec->input_shape[0];
  model->input = calloc(max_rows * model->input_size, sizeof(float));
  model->layers = calloc(spec->num_operators, sizeof(Layer));
  model->tensors = calloc(2 * spec->num_operators, sizeof(Tensor));
  if (!model->input || !model->layers || !model->tensors) {
    return &kOutOfMemory;
  }
  for (size_t i = 0; i < spec->num_operators; ++i) {
    ++model->num_layers;
    MB_Error* error = CompileOperator(model, &spec->operators[i], (int32_t)i,
                                      &model->layers[i], max_rows);
    if (error != NULL) return error;
  }
  model->output_size = model->layers[model->num_layers - 1].out;
  return NULL;
}

static void SessionDestroy(MB_Session* session) {
  if (session == NULL) return;
  for (size_t i = 0; session->models != NULL && i < session->num_models; ++i) {
    Model* model = &session->models[i];
    for (size_t l = 0; l < model->num_layers; ++l) {
      free(model->layers[l].output);
      free(model->layers[l].gradient);
    }
    for (size_t t = 0; t < model->num_tensors; ++t) {
      free(model->tensors[t].value);
      free(model->tensors[t].gradient);
      free(model->tensors[t].momentum);
    }
    free(model->layers);
    free(model->tensors);
    free(model->input);
  }
  free(session->models);
  free(session);
}

/* Models of a batch have the same operators; their numbers may differ. */
static int SameGraph(const MB_Model* a, const MB_Model* b) {
  if (a->num_operators != b->num_operators) return 0;
  for (size_t i = 0; i < a->num_operators; ++i) {
    const MB_Operator *x = &a->operators[i], *y = &b->operators[i];
    const MB_NamedValue *bias_x = FindAttribute(x, "bias"),
                        *bias_y = FindAttribute(y, "bias");
    if (strcmp(x->name, y->name) != 0 || strcmp(x->kind, y->kind) != 0 ||
        (bias_x == NULL || bias_x->i) != (bias_y == NULL || bias_y->i)) {
      return 0;
    }
  }
  return 1; /* a chain has no other edges */
}

static MB_Error* CompileModels(MB_Session* session,
                               const MB_SessionCompileArgs* args) {
  for (size_t i = 0; i < args->num_models; ++i) {
    MB_Error* error =
        CompileModel(&session->models[i], args->models[i], args->max_rows);
    if (error != NULL) return error;
    if (!SameGraph(args->models[0], args->models[i])) {
      return Fail(
          MB_INVALID_ARGUMENT, "model %lld has another graph than model %lld",
          (long long)session->models[i].id, (long long)session->models[0].id);
    }
    if (session->models[i].input_size != session->models[0].input_size ||
        session->models[i].output_size != session->models[0].output_size) {
      return Fail(MB_UNIMPLEMENTED,
                  "model %lld has other input or output sizes than model %lld",
                  (long long)session->models[i].id,
                  (long long)session->models[0].id);
    }
  }
  return NULL;
}

static MB_Error* SessionCompile(MB_SessionCompileArgs* args) {
  CHECK_ARGS(MB_SessionCompileArgs, args, session);
  CHECK_POINTER(args->backend);
  CHECK_POINTER(args->loss);
  if (args->num_models == 0 || args->max_rows < 1 || args->max_rows > 1 << 20) {
    return Fail(MB_INVALID_ARGUMENT,
                "num_models is %zu and max_rows %lld, expected at least 1",
                args->num_models, (long long)args->max_rows);
  }
  CHECK_POINTER(args->models);
  if (strcmp(args->loss, "mse") != 0) {
    return Fail(MB_UNIMPLEMENTED, "loss \"%s\" is not in this backend",
                args->loss);
  }
  if (args->num_loss_attributes > 0) {
    return Fail(MB_INVALID_ARGUMENT, "loss mse: unknown attribute %s",
                args->loss_attributes[0].name);
  }
  for (size_t i = 0; i < args->num_options; ++i) {
    const MB_NamedValue* option = &args->options[i];
    const int is_precision = strcmp(option->name, "precision") == 0;
    if (!is_precision || option->type != MB_VALUE_STRING) {
      return Fail(MB_INVALID_ARGUMENT, "unknown option %s", option->name);
    }
    if (strcmp(option->s, "fp32") != 0) {
      return Fail(MB_UNIMPLEMENTED, "precision %s is not in this backend",
                  option->s);
    }
  }
  MB_Session* session = calloc(1, sizeof(*session));
  if (session == NULL) return &kOutOfMemory;
  session->max_rows = args->max_rows;
  session->num_models = args->num_models;
  session->models = calloc(args->num_models, sizeof(Model));
  MB_Error* error =
      session->models == NULL ? &kOutOfMemory : CompileModels(session, args);
  if (error != NULL) {
    SessionDestroy(session);
    return error;
  }
  args->session = session;
  return NULL;
}

/* ---- State --------------------------------------------------------------- */

static MB_Error* SetOptimizer(MB_OptimizerArgs* args) {
  CHECK_ARGS(MB_OptimizerArgs, args, optimizer);
  CHECK_POINTER(args->session);
  CHECK_POINTER(args->optimizer);
  const int none = strcmp(args->optimizer, "none") == 0;
  if (!none && strcmp(args->optimizer, "sgd") != 0) {
    return Fail(MB_UNIMPLEMENTED, "optimizer \"%s\" is not in this backend",
                args->optimizer);
  }
  MB_Session* session = args->session;
  session->has_optimizer = !none;
  for (size_t i = 0; i < session->num_models; ++i) {
    Model* model = &session->models[i];
    model->updates = 0;
    for (size_t t = 0; t < model->num_tensors; ++t) {
      memset(model->tensors[t].momentum, 0,
             model->tensors[t].size * sizeof(float));
    }
  }
  return NULL;
}

/* Finds the memory that a state call means, and checks the caller's tensor. */
static MB_Error* FindState(MB_StateArgs* args, int write, void** data,
                           size_t* bytes) {
  CHECK_ARGS(MB_StateArgs, args, tensor);
  CHECK_POINTER(args->session);
  CHECK_POINTER(args->slot);
  CHECK_POINTER(args->tensor);
  MB_Session* session = args->session;
  if (args->model >= session->num_models) {
    return Fail(MB_INVALID_ARGUMENT, "model is %zu, expected less than %zu",
                args->model, session->num_models);
  }
  Model* model = &session->models[args->model];
  const MB_DLTensor* tensor = args->tensor;
  if (strcmp(args->slot, "step") == 0) {
    if (tensor->dtype.code != MB_DL_INT || tensor->dtype.bits != 64 ||
        tensor->ndim != 0) {
      return Fail(MB_INVALID_ARGUMENT, "step: expected int64, shape []");
    }
    *data = &model->updates;
    *bytes = sizeof(model->updates);
    return NULL;
  }
  CHECK_POINTER(args->parameter);
  Tensor* found = NULL;
  for (size_t t = 0; t < model->num_tensors; ++t) {
    if (strcmp(model->tensors[t].name, args->parameter) == 0) {
      found = &model->tensors[t];
    }
  }
  if (found == NULL) {
    return Fail(MB_NOT_FOUND, "model %lld has no parameter \"%s\"",
                (long long)model->id, args->parameter);
  }
  if (strcmp(args->slot, "param") == 0) {
    *data = found->value;
  } else if (strcmp(args->slot, "momentum_buffer") == 0 &&
             session->has_optimizer) {
    *data = found->momentum;
  } else if (strcmp(args->slot, "grad") == 0) {
    if (write) return Fail(MB_INVALID_ARGUMENT, "slot grad can only be read");
    if (!session->has_gradients) {
      return Fail(MB_FAILED_PRECONDITION, "the last step kept no gradients");
    }
    *data = found->gradient;
  } else {
    return Fail(MB_NOT_FOUND, "no state slot \"%s\"", args->slot);
  }
  int fits = tensor->dtype.code == MB_DL_FLOAT && tensor->dtype.bits == 32 &&
             tensor->ndim == found->rank;
  for (int d = 0; fits && d < found->rank; ++d) {
    fits = tensor->shape[d] == found->shape[d];
  }
  if (!fits) {
    return Fail(MB_INVALID_ARGUMENT,
                "model %lld, %s %s: expected float32 of the parameter's shape",
                (long long)model->id, args->slot, args->parameter);
  }
  *bytes = found->size * sizeof(float);
  return NULL;
}

static MB_Error* ReadState(MB_StateArgs* args) {
  void* data = NULL;
  size_t bytes = 0;
  MB_Error* error = FindState(args, 0, &data, &bytes);
  if (error != NULL) return error;
  memcpy((char*)args->tensor->data + args->tensor->byte_offset, data, bytes);
  return NULL;
}

static MB_Error* WriteState(MB_StateArgs* args) {
  void* data = NULL;
  size_t bytes = 0;
  MB_Error* error = FindState(args, 1, &data, &bytes);
  if (error != NULL) return error;
  const char* from =
      (const char*)args->tensor->data + args->tensor->byte_offset;
  if (strcmp(args->slot, "step") == 0) {
    int64_t step;
    memcpy(&step, from, sizeof(step));
    if (step < 0) return Fail(MB_INVALID_ARGUMENT, "step is negative");
  }
  memcpy(data, from, bytes);
  return NULL;
}

/* ---- Data ---------------------------------------------------------------- */

static void Release(MB_DLManagedTensor* tensor) {
  if (tensor != NULL && tensor->deleter != NULL) tensor->deleter(tensor);
}

static void DatasetDestroy(MB_Dataset* dataset) {
  if (dataset == NULL) return;
  Release(dataset->features);
  Release(dataset->targets);
  free(dataset);
}

/* [rows, ...] float32, row-major and compact, on the CPU; `size` of a row. */
static int IsFloatRows(const MB_DLTensor* tensor, int64_t* size) {
  if (tensor->device.device_type != MB_DL_CPU ||
      tensor->dtype.code != MB_DL_FLOAT || tensor->dtype.bits != 32 ||
      tensor->dtype.lanes != 1 || tensor->ndim < 2) {
    return 0;
  }
  *size = 1;
  for (int32_t d = tensor->ndim - 1; d >= 0; --d) {
    if (tensor->shape[d] < 0) return 0;
    if (tensor->strides != NULL && tensor->shape[d] > 1 &&
        tensor->strides[d] != *size) {
      return 0;
    }
    if (d > 0) *size *= tensor->shape[d];
  }
  return 1;
}

static MB_Error* DatasetCreate(MB_DatasetCreateArgs* args) {
  CHECK_ARGS(MB_DatasetCreateArgs, args, dataset);
  MB_Dataset* dataset = calloc(1, sizeof(*dataset));
  if (dataset == NULL) {
    Release(args->features);
    Release(args->targets);
    return &kOutOfMemory;
  }
  /* Ours from here on, also when the call fails. */
  dataset->features = args->features;
  dataset->targets = args->targets;
  const char* problem = NULL;
  if (args->backend == NULL || args->features == NULL) {
    problem = "backend and features must not be NULL";
  } else if (!IsFloatRows(&args->features->dl_tensor, &dataset->row_size)) {
    problem = "features: expected compact float32 [rows, ...] on the CPU";
  } else {
    dataset->rows = args->features->dl_tensor.shape[0];
    /* Class targets are taken too: it is the loss that cannot use them. */
    if (args->targets != NULL &&
        (args->targets->dl_tensor.ndim < 1 ||
         args->targets->dl_tensor.shape[0] != dataset->rows)) {
      problem = "targets: expected as many rows as features has";
    } else if (args->targets != NULL) {
      IsFloatRows(&args->targets->dl_tensor, &dataset->target_size);
    }
  }
  if (problem != NULL) {
    DatasetDestroy(dataset);
    return Fail(MB_INVALID_ARGUMENT, "%s", problem);
  }
  args->dataset = dataset;
  return NULL;
}

static const float* Row(const MB_DLManagedTensor* tensor, int64_t row,
                        int64_t size) {
  const MB_DLTensor* t = &tensor->dl_tensor;
  return (const float*)((const char*)t->data + t->byte_offset) + row * size;
}

/* ---- One model's step ---------------------------------------------------- */

static void Forward(Model* model, const MB_Dataset* data, const int32_t* rows,
                    int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    memcpy(model->input + i * model->input_size,
           Row(data->features, rows[i], model->input_size),
           model->input_size * sizeof(float));
  }
  const float* x = model->input;
  for (size_t l = 0; l < model->num_layers; ++l) {
    const Layer* layer = &model->layers[l];
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t j = 0; j < layer->out; ++j) {
        const float* in = x + i * layer->in;
        float sum;
        if (layer->is_linear) {
          const float* w = model->tensors[layer->weight].value + j * layer->in;
          sum = layer->bias < 0 ? 0 : model->tensors[layer->bias].value[j];
          for (int64_t k = 0; k < layer->in; ++k) sum += in[k] * w[k];
        } else {
          sum = in[j] < 0 ? 0 : in[j]; /* keeps NaN */
        }
        layer->output[i * layer->out + j] = sum;
      }
    }
    x = layer->output;
  }
}

/* Mean over rows and outputs of (y - t)^2 in double; its gradient goes to the
 * last layer where `gradient` is set. */
static double SquaredError(Model* model, const MB_Dataset* data,
                           const int32_t* rows, int64_t count, int gradient) {
  const Layer* last = &model->layers[model->num_layers - 1];
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    const float* target = Row(data->targets, rows[i], last->out);
    for (int64_t j = 0; j < last->out; ++j) {
      const float difference = last->output[i * last->out + j] - target[j];
      sum += (double)difference * difference;
      if (gradient) {
        last->gradient[i * last->out + j] =
            2 * difference / (float)(count * last->out);
      }
    }
  }
  return sum / (double)(count * last->out);
}

static void BackwardLinear(Model* model, const Layer* layer, const float* x,
                           float* dx, int64_t count) {
  Tensor* weight = &model->tensors[layer->weight];
  memset(weight->gradient, 0, weight->size * sizeof(float));
  if (layer->bias >= 0) {
    memset(model->tensors[layer->bias].gradient, 0, layer->out * sizeof(float));
  }
  if (dx != NULL) memset(dx, 0, count * layer->in * sizeof(float));
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t j = 0; j < layer->out; ++j) {
      const float dy = layer->gradient[i * layer->out + j];
      if (layer->bias >= 0) model->tensors[layer->bias].gradient[j] += dy;
      for (int64_t k = 0; k < layer->in; ++k) {
        weight->gradient[j * layer->in + k] += dy * x[i * layer->in + k];
        if (dx != NULL) {
          dx[i * layer->in + k] += dy * weight->value[j * layer->in + k];
        }
      }
    }
  }
}

static void Backward(Model* model, int64_t count) {
  for (size_t l = model->num_layers; l-- > 0;) {
    const Layer* layer = &model->layers[l];
    const float* x = l == 0 ? model->input : model->layers[l - 1].output;
    float* dx = l == 0 ? NULL : model->layers[l - 1].gradient;
    if (layer->is_linear) {
      BackwardLinear(model, layer, x, dx, count);
    } else if (dx != NULL) {
      for (int64_t e = 0; e < count * layer->out; ++e) {
        dx[e] = layer->output[e] > 0 ? layer->gradient[e] : 0;
      }
    }
  }
}

static int GradientsAreFinite(const Model* model) {
  for (size_t t = 0; t < model->num_tensors; ++t) {
    for (int64_t e = 0; e < model->tensors[t].size; ++e) {
      if (!isfinite(model->tensors[t].gradient[e])) return 0;
    }
  }
  return 1;
}

/* The columns of torch.optim.SGD, in this order. */
enum { kLr, kMomentum, kDampening, kWeightDecay, kNesterov, kNumColumns };
static const char* const kColumnNames[kNumColumns] = {
    "lr", "momentum", "dampening", "weight_decay", "nesterov"};

static void Update(Model* model, const double* const columns[], size_t index) {
  const float lr = (float)columns[kLr][index];
  const float momentum = (float)columns[kMomentum][index];
  const float keep = (float)(1 - columns[kDampening][index]);
  const float decay = (float)columns[kWeightDecay][index];
  const int nesterov = columns[kNesterov][index] != 0;
  for (size_t t = 0; t < model->num_tensors; ++t) {
    Tensor* tensor = &model->tensors[t];
    for (int64_t e = 0; e < tensor->size; ++e) {
      float d = tensor->gradient[e] + decay * tensor->value[e];
      if (momentum != 0) {
        float* m = &tensor->momentum[e];
        *m = model->updates == 0 ? d : momentum * *m + keep * d;
        d = nesterov ? d + momentum * *m : *m;
      }
      tensor->value[e] -= lr * d;
    }
  }
  ++model->updates;
}

/* ---- Steps --------------------------------------------------------------- */

static MB_Error* CheckStep(const MB_Session* session, const MB_Dataset* data,
                           const MB_Rows* rows, int needs_targets,
                           int64_t max_rows) {
  CHECK_POINTER(session);
  CHECK_POINTER(data);
  if (data->row_size != session->models[0].input_size) {
    return Fail(MB_INVALID_ARGUMENT,
                "the dataset has %lld features a row, the models expect %lld",
                (long long)data->row_size,
                (long long)session->models[0].input_size);
  }
  if (needs_targets && (data->targets == NULL ||
                        data->target_size != session->models[0].output_size)) {
    return Fail(MB_INVALID_ARGUMENT, "mse needs float32 targets [rows, %lld]",
                (long long)session->models[0].output_size);
  }
  for (size_t j = 0; j < rows->num_rows; ++j) {
    if (rows->rows[j] < 0 || rows->rows[j] >= data->rows) {
      return Fail(MB_OUT_OF_RANGE, "rows[%zu] is %d, the dataset has %lld rows",
                  j, (int)rows->rows[j], (long long)data->rows);
    }
  }
  for (size_t i = 0; i < session->num_models; ++i) {
    const int64_t begin = rows->offsets == NULL ? 0 : rows->offsets[i];
    const int64_t end =
        rows->offsets == NULL ? (int64_t)rows->num_rows : rows->offsets[i + 1];
    if (begin < 0 || end < begin || end > (int64_t)rows->num_rows ||
        (i == 0 && begin != 0) ||
        (i + 1 == session->num_models && end != (int64_t)rows->num_rows)) {
      return Fail(MB_INVALID_ARGUMENT, "row offsets of model %lld are wrong",
                  (long long)session->models[i].id);
    }
    if (end - begin > max_rows) {
      return Fail(MB_INVALID_ARGUMENT,
                  "model %lld has %lld rows, expected at most %lld",
                  (long long)session->models[i].id, (long long)(end - begin),
                  (long long)max_rows);
    }
  }
  return NULL;
}

static const int32_t* RowsOf(const MB_Rows* rows, size_t model,
                             int64_t* count) {
  if (rows->offsets == NULL) {
    *count = (int64_t)rows->num_rows;
    return rows->rows;
  }
  *count = rows->offsets[model + 1] - rows->offsets[model];
  return rows->rows + rows->offsets[model];
}

static MB_Error* BindColumns(const MB_TrainStepArgs* args,
                             const double* bound[]) {
  for (size_t c = 0; c < args->num_columns; ++c) {
    const MB_Column* column = &args->columns[c];
    int which = kNumColumns;
    for (int k = 0; k < kNumColumns; ++k) {
      if (strcmp(column->name, kColumnNames[k]) != 0) continue;
      if (bound[k] != NULL) break; /* twice */
      bound[k] = column->values;
      which = k;
    }
    if (which == kNumColumns) {
      return Fail(MB_INVALID_ARGUMENT, "column %s is unknown or twice there",
                  column->name);
    }
    for (size_t i = 0; i < args->session->num_models; ++i) {
      const double value = column->values[i];
      const int fits = which == kDampening  ? isfinite(value)
                       : which == kNesterov ? value == 0 || value == 1
                                            : isfinite(value) && value >= 0;
      if (!fits) {
        return Fail(MB_INVALID_ARGUMENT,
                    "model %lld: %s is %g, expected a finite number%s",
                    (long long)args->session->models[i].id, column->name, value,
                    which == kDampening  ? ""
                    : which == kNesterov ? ", 0 or 1"
                                         : ", at least 0");
      }
    }
  }
  for (int k = 0; k < kNumColumns; ++k) {
    if (bound[k] == NULL) {
      return Fail(MB_INVALID_ARGUMENT, "column %s is missing", kColumnNames[k]);
    }
  }
  return NULL;
}

static uint8_t TrainModel(Model* model, const MB_TrainStepArgs* args,
                          const double* const columns[], size_t index,
                          float* loss) {
  int64_t count = 0;
  const int32_t* rows = RowsOf(&args->rows, index, &count);
  if (args->active != NULL && args->active[index] == 0) {
    return MB_MODEL_INACTIVE;
  }
  if (count == 0) return MB_MODEL_EMPTY;
  Forward(model, args->dataset, rows, count);
  *loss = (float)SquaredError(model, args->dataset, rows, count, 1);
  if (!isfinite(*loss)) return MB_MODEL_NON_FINITE_LOSS;
  Backward(model, count);
  if (!GradientsAreFinite(model)) return MB_MODEL_NON_FINITE_GRADIENT;
  if ((args->flags & MB_STEP_NO_UPDATE) == 0) Update(model, columns, index);
  return MB_MODEL_STEPPED;
}

static MB_Error* TrainStep(MB_TrainStepArgs* args) {
  CHECK_ARGS(MB_TrainStepArgs, args, outcomes);
  CHECK_POINTER(args->losses);
  CHECK_POINTER(args->outcomes);
  const uint32_t known_flags = MB_STEP_KEEP_GRADIENTS | MB_STEP_NO_UPDATE;
  if ((args->flags & MB_STEP_ACCUMULATE) != 0) {
    return Fail(MB_UNIMPLEMENTED, "MB_STEP_ACCUMULATE is not in this backend");
  }
  if ((args->flags & ~known_flags) != 0 || args->reserved != 0) {
    return Fail(MB_INVALID_ARGUMENT, "unknown flags %u", args->flags);
  }
  MB_Session* session = args->session;
  MB_Error* error = CheckStep(session, args->dataset, &args->rows, 1,
                              session == NULL ? 0 : session->max_rows);
  if (error != NULL) return error;
  const double* columns[kNumColumns] = {NULL};
  if ((args->flags & MB_STEP_NO_UPDATE) == 0) {
    if (!session->has_optimizer) {
      return Fail(MB_FAILED_PRECONDITION, "no optimizer was set");
    }
    error = BindColumns(args, columns);
    if (error != NULL) return error;
  }
  session->has_gradients = (args->flags & MB_STEP_KEEP_GRADIENTS) != 0;
  for (size_t i = 0; i < session->num_models; ++i) {
    args->losses[i] = 0;
    args->outcomes[i] =
        TrainModel(&session->models[i], args, columns, i, &args->losses[i]);
  }
  return NULL;
}

static MB_Error* Evaluate(MB_EvaluateArgs* args) {
  CHECK_ARGS(MB_EvaluateArgs, args, correct);
  CHECK_POINTER(args->losses);
  CHECK_POINTER(args->correct);
  MB_Error* error =
      CheckStep(args->session, args->dataset, &args->rows, 1, INT64_MAX);
  if (error != NULL) return error;
  const int64_t chunk = args->session->max_rows;
  for (size_t i = 0; i < args->session->num_models; ++i) {
    Model* model = &args->session->models[i];
    int64_t count = 0;
    const int32_t* rows = RowsOf(&args->rows, i, &count);
    args->losses[i] = 0;
    args->correct[i] = -1; /* mse has no classes */
    if (args->active != NULL && args->active[i] == 0) continue;
    for (int64_t begin = 0; begin < count; begin += chunk) {
      const int64_t n = count - begin < chunk ? count - begin : chunk;
      Forward(model, args->dataset, rows + begin, n);
      args->losses[i] +=
          SquaredError(model, args->dataset, rows + begin, n, 0) * (double)n /
          (double)count;
    }
  }
  return NULL;
}

static MB_Error* ForwardOutputs(MB_ForwardArgs* args) {
  CHECK_ARGS(MB_ForwardArgs, args, outputs);
  CHECK_POINTER(args->output_offsets);
  if ((args->flags & MB_FORWARD_TRAINING) != 0) {
    return Fail(MB_UNIMPLEMENTED, "MB_FORWARD_TRAINING is not in this backend");
  }
  if (args->flags != 0 || args->reserved != 0) {
    return Fail(MB_INVALID_ARGUMENT, "unknown flags %u", args->flags);
  }
  MB_Error* error =
      CheckStep(args->session, args->dataset, &args->rows, 0, INT64_MAX);
  if (error != NULL) return error;
  const int64_t chunk = args->session->max_rows;
  for (size_t i = 0; i < args->session->num_models; ++i) {
    Model* model = &args->session->models[i];
    const int64_t size = model->output_size;
    int64_t count = 0;
    const int32_t* rows = RowsOf(&args->rows, i, &count);
    const int64_t offset = args->output_offsets[i];
    const int64_t room = (int64_t)args->num_outputs - offset;
    if (offset < 0 || room < count * size) {
      return Fail(MB_INVALID_ARGUMENT, "model %lld: outputs are too short",
                  (long long)model->id);
    }
    if (count > 0) CHECK_POINTER(args->outputs);
    for (int64_t begin = 0; begin < count; begin += chunk) {
      const int64_t n = count - begin < chunk ? count - begin : chunk;
      Forward(model, args->dataset, rows + begin, n);
      memcpy(args->outputs + offset + begin * size,
             model->layers[model->num_layers - 1].output,
             n * size * sizeof(float));
    }
  }
  return NULL;
}

/* ---- The backend and the table ------------------------------------------- */

static MB_Error* Probe(MB_ProbeArgs* args) {
  CHECK_ARGS(MB_ProbeArgs, args, reason);
  args->score = 1; /* anything else is better */
  args->device = "one thread, plain loops";
  args->reason = "an example, not meant to be fast";
  return NULL;
}

static MB_Error* BackendCreate(MB_BackendCreateArgs* args) {
  CHECK_ARGS(MB_BackendCreateArgs, args, backend);
  if (args->num_options > 0) {
    CHECK_POINTER(args->options);
    return Fail(MB_INVALID_ARGUMENT, "unknown option %s",
                args->options[0].name);
  }
  args->backend = calloc(1, sizeof(*args->backend));
  return args->backend == NULL ? &kOutOfMemory : NULL;
}

static void BackendDestroy(MB_Backend* backend) { free(backend); }

static MB_Error* GetCapabilities(MB_CapabilitiesArgs* args) {
  static const char* const kOperators[] = {"linear", "relu", NULL};
  static const char* const kLosses[] = {"mse", NULL};
  static const char* const kOptimizers[] = {"sgd", NULL};
  static const char* const kPrecisions[] = {"fp32", NULL};
  /* Models run one after another, each on its own: nothing is shared. */
  static const char* const kFeatures[] = {"bitwise_independence",
                                          "mixed_widths", "ragged_rows", NULL};
  CHECK_ARGS(MB_CapabilitiesArgs, args, features);
  args->operators = kOperators;
  args->losses = kLosses;
  args->optimizers = kOptimizers;
  args->precisions = kPrecisions;
  args->features = kFeatures;
  return NULL;
}

__attribute__((visibility("default"))) const MB_PluginApi* MB_GetPluginApi(
    const MB_HostApi* host) {
  static const MB_PluginApi kApi = {
      .header = {MB_SIZE(MB_PluginApi, session_tune), MB_ABI_MAJOR,
                 MB_ABI_MINOR, NULL},
      .name = "example",
      .version = "1.0.0",
      /* Raise it with every change that may change a bit. */
      .build_id = "2, compiler " __VERSION__,
      .sanitizer = "",
      .error_code = ErrorCode,
      .error_message = ErrorMessage,
      .error_destroy = ErrorDestroy,
      .plugin_probe = Probe,
      .backend_create = BackendCreate,
      .backend_destroy = BackendDestroy,
      .backend_capabilities = GetCapabilities,
      .session_compile = SessionCompile,
      .session_destroy = SessionDestroy,
      .session_set_optimizer = SetOptimizer,
      .session_read_state = ReadState,
      .session_write_state = WriteState,
      .dataset_create = DatasetCreate,
      .dataset_destroy = DatasetDestroy,
      .session_train_step = TrainStep,
      .session_evaluate = Evaluate,
      .session_forward = ForwardOutputs,
      /* The others are not required. */
  };
  (void)host; /* for its log and the plugin's own path */
  return &kApi;
}
