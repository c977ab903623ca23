/* A host of plugin ABI 1.0, or of a 1.2 in which every struct has grown, as it
 * is compiled: it trains two models on the plugin that is its argument. Every
 * struct and array that it hands over ends where readable memory ends: a plugin
 * that reads a field which the host does not have crashes; a field that came
 * after 1.0 holds nonsense. What a step does is computed here, in double. */
#include <dlfcn.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "modelbatch/plugin/c_api.h"

enum { kModels = 2, kRows = 3, kInputs = 2, kSteps = 5 };
static const float kFeatures[kRows][kInputs] = {
    {1, 2}, {-1, 0.5f}, {0.25f, -3}};
static const float kTargets[kRows] = {1, -2, 0.5f};
static const double kRates[kModels] = {0.05, 0.02};

static const MB_PluginApi* api;
static int deleted;

#define EXPECT(condition)                                             \
  do {                                                                \
    if (!(condition)) {                                               \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      exit(1);                                                        \
    }                                                                 \
  } while (0)

/* Zeroed memory that ends at an unreadable page. */
static void* AtPageEnd(size_t size) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  const size_t pages = (size + page - 1) / page;
  char* const memory = mmap(NULL, (pages + 1) * page, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  EXPECT(memory != MAP_FAILED);
  EXPECT(mprotect(memory + pages * page, page, PROT_NONE) == 0);
  return memory + pages * page - size;
}

/* A struct whose last field in 1.0 is `last`, with its header. It is aligned:
 * all of them have a multiple of eight bytes. */
#define NEW(type, last) ((type*)New(MB_SIZE(type, last), sizeof(type)))
static void* New(size_t size_1_0, size_t size) {
  EXPECT(size_1_0 % 8 == 0 && size % 8 == 0);
  EXPECT((size > size_1_0) == (MB_ABI_MINOR > 0));
  MB_Header* const header = AtPageEnd(size);
  memset((char*)header + size_1_0, 0xa5, size - size_1_0);
  header->struct_size = size;
  header->abi_major = MB_ABI_MAJOR;
  header->abi_minor = MB_ABI_MINOR;
  return header;
}

static void ExpectOk(MB_Error* error, int line) {
  if (error == NULL) return;
  fprintf(stderr, "line %d: error %d: %s\n", line, (int)api->error_code(error),
          api->error_message(error));
  exit(1);
}
#define OK(call) ExpectOk(call, __LINE__)

static void ExpectNear(double value, double expected, const char* what) {
  if (fabs(value - expected) <= 1e-5 * (1 + fabs(expected))) return;
  fprintf(stderr, "%s is %.9g, expected %.9g\n", what, value, expected);
  exit(1);
}

static void HostLog(void* context, int32_t severity, const char* message) {
  (void)context;
  (void)severity;
  fprintf(stderr, "plugin: %s\n", message);
}

static const MB_HostApi* MakeHost(const char* path) {
  MB_HostApi* host = NEW(MB_HostApi, log);
  host->host_version = "1.0.0";
  host->plugin_path = path;
  host->log = HostLog;
  return host;
}

static void Delete(MB_DLManagedTensor* tensor) {
  (void)tensor;
  ++deleted;
}

static MB_DLDataType Float32(void) {
  const MB_DLDataType type = {MB_DL_FLOAT, 32, 1};
  return type;
}

/* [rows, columns] of float32; a copy at the end of a page. */
static MB_DLManagedTensor* Managed(const float* data, int64_t columns) {
  const size_t bytes = (size_t)(kRows * columns) * sizeof(float);
  MB_DLManagedTensor* tensor = AtPageEnd(sizeof(MB_DLManagedTensor));
  tensor->version.major = 1;
  tensor->deleter = Delete;
  tensor->dl_tensor.data = memcpy(AtPageEnd(bytes), data, bytes);
  tensor->dl_tensor.device.device_type = MB_DL_CPU;
  tensor->dl_tensor.ndim = 2;
  tensor->dl_tensor.dtype = Float32();
  tensor->dl_tensor.shape = AtPageEnd(2 * sizeof(int64_t));
  tensor->dl_tensor.shape[0] = kRows;
  tensor->dl_tensor.shape[1] = columns;
  return tensor;
}

/* One tensor of a model's state, in `values`, to or from the session. */
static void Move(MB_Error* (*call)(MB_StateArgs*), MB_Session* session,
                 size_t model, const char* slot, const char* parameter,
                 float* values, int rank) {
  MB_DLTensor* tensor = AtPageEnd(sizeof(MB_DLTensor));
  const int64_t size = rank == 2 ? kInputs : 1;
  tensor->data = values;
  tensor->device.device_type = MB_DL_CPU;
  tensor->ndim = rank;
  tensor->dtype = Float32();
  tensor->shape = AtPageEnd((size_t)rank * sizeof(int64_t));
  tensor->shape[0] = 1;
  tensor->shape[rank - 1] = size;
  MB_StateArgs* args = NEW(MB_StateArgs, tensor);
  args->session = session;
  args->model = model;
  args->slot = slot;
  args->parameter = parameter;
  args->tensor = tensor;
  OK(call(args));
}

/* linear(2 -> 1), with weights and bias as doubles. */
typedef struct Reference {
  double weight[kInputs];
  double bias;
} Reference;

static double Predict(const Reference* model, int row) {
  double sum = model->bias;
  for (int i = 0; i < kInputs; ++i) {
    sum += model->weight[i] * (double)kFeatures[row][i];
  }
  return sum;
}

static double Loss(const Reference* model) {
  double sum = 0;
  for (int row = 0; row < kRows; ++row) {
    const double error = Predict(model, row) - (double)kTargets[row];
    sum += error * error;
  }
  return sum / kRows;
}

static void Descend(Reference* model, double rate) {
  Reference gradient = {{0, 0}, 0};
  for (int row = 0; row < kRows; ++row) {
    const double slope =
        2 * (Predict(model, row) - (double)kTargets[row]) / kRows;
    for (int i = 0; i < kInputs; ++i) {
      gradient.weight[i] += slope * (double)kFeatures[row][i];
    }
    gradient.bias += slope;
  }
  for (int i = 0; i < kInputs; ++i) {
    model->weight[i] -= rate * gradient.weight[i];
  }
  model->bias -= rate * gradient.bias;
}

static const MB_Model* MakeModel(int64_t id) {
  MB_NamedValue* out = AtPageEnd(sizeof(MB_NamedValue));
  out->name = "out_features";
  out->type = MB_VALUE_INT64;
  out->i = 1;
  int32_t* input = AtPageEnd(sizeof(int32_t));
  *input = -1;
  MB_Operator* linear = AtPageEnd(sizeof(MB_Operator));
  linear->name = "0";
  linear->kind = "linear";
  linear->inputs = input;
  linear->num_inputs = 1;
  linear->attributes = out;
  linear->num_attributes = 1;
  int64_t* shape = AtPageEnd(sizeof(int64_t));
  *shape = kInputs;
  MB_Model* model = NEW(MB_Model, num_operators);
  model->id = id;
  model->seed = 7;
  model->input_shape = shape;
  model->input_rank = 1;
  model->operators = linear;
  model->num_operators = 1;
  return model;
}

static MB_Session* Compile(MB_Backend* backend) {
  const MB_Model** models = AtPageEnd(kModels * sizeof(MB_Model*));
  for (int i = 0; i < kModels; ++i) models[i] = MakeModel(i);
  MB_SessionCompileArgs* args = NEW(MB_SessionCompileArgs, session);
  args->backend = backend;
  args->models = models;
  args->num_models = kModels;
  args->loss = "mse";
  args->max_rows = kRows;
  OK(api->session_compile(args));
  EXPECT(args->session != NULL);
  return args->session;
}

static MB_Rows AllRows(void) {
  int32_t* rows = AtPageEnd(kRows * sizeof(int32_t));
  for (int row = 0; row < kRows; ++row) rows[row] = row;
  const MB_Rows result = {rows, kRows, NULL};
  return result;
}

/* The columns of torch.optim.SGD. */
static const MB_Column* MakeColumns(size_t* count) {
  static const char* const kNames[] = {"lr", "momentum", "dampening",
                                       "weight_decay", "nesterov"};
  *count = sizeof(kNames) / sizeof(kNames[0]);
  MB_Column* columns = AtPageEnd(*count * sizeof(MB_Column));
  for (size_t c = 0; c < *count; ++c) {
    double* values = AtPageEnd(sizeof(kRates));
    if (c == 0) memcpy(values, kRates, sizeof(kRates));
    columns[c].name = kNames[c];
    columns[c].values = values;
  }
  return columns;
}

static void Train(MB_Session* session, MB_Dataset* dataset,
                  Reference models[kModels]) {
  MB_TrainStepArgs* args = NEW(MB_TrainStepArgs, outcomes);
  args->session = session;
  args->dataset = dataset;
  args->rows = AllRows();
  args->columns = MakeColumns(&args->num_columns);
  args->losses = AtPageEnd(kModels * sizeof(float));
  args->outcomes = AtPageEnd(kModels);
  for (int step = 0; step < kSteps; ++step) {
    OK(api->session_train_step(args));
    for (int i = 0; i < kModels; ++i) {
      EXPECT(args->outcomes[i] == MB_MODEL_STEPPED);
      ExpectNear((double)args->losses[i], Loss(&models[i]), "a training loss");
      Descend(&models[i], kRates[i]);
    }
  }
}

static void Evaluate(MB_Session* session, MB_Dataset* dataset,
                     const Reference models[kModels]) {
  MB_EvaluateArgs* args = NEW(MB_EvaluateArgs, correct);
  args->session = session;
  args->dataset = dataset;
  args->rows = AllRows();
  args->losses = AtPageEnd(kModels * sizeof(double));
  args->correct = AtPageEnd(kModels * sizeof(int64_t));
  OK(api->session_evaluate(args));
  for (int i = 0; i < kModels; ++i) {
    ExpectNear(args->losses[i], Loss(&models[i]), "a loss");
    EXPECT(args->correct[i] == -1);
  }
}

static void Forward(MB_Session* session, MB_Dataset* dataset,
                    const Reference models[kModels]) {
  int64_t* offsets = AtPageEnd(kModels * sizeof(int64_t));
  for (int i = 0; i < kModels; ++i) offsets[i] = i * kRows;
  MB_ForwardArgs* args = NEW(MB_ForwardArgs, outputs);
  args->session = session;
  args->dataset = dataset;
  args->rows = AllRows();
  args->output_offsets = offsets;
  args->num_outputs = kModels * kRows;
  args->outputs = AtPageEnd(args->num_outputs * sizeof(float));
  OK(api->session_forward(args));
  for (int i = 0; i < kModels; ++i) {
    for (int row = 0; row < kRows; ++row) {
      ExpectNear((double)args->outputs[offsets[i] + row],
                 Predict(&models[i], row), "an output");
    }
  }
}

/* The parts of a step, for the gradient (1, 2, 3) of each model's outputs. */
static void StepInParts(MB_Session* session, MB_Dataset* dataset,
                        Reference models[kModels]) {
  if (api->session_backward == NULL) return;
  MB_ZeroGradArgs* zero = NEW(MB_ZeroGradArgs, reserved);
  zero->session = session;
  OK(api->session_zero_grad(zero));
  MB_BackwardArgs* backward = NEW(MB_BackwardArgs, outcomes);
  backward->session = session;
  backward->dataset = dataset;
  backward->rows = AllRows();
  float* gradient = AtPageEnd(kRows * sizeof(float));
  for (int row = 0; row < kRows; ++row) gradient[row] = (float)(row + 1);
  const float** gradients = AtPageEnd(kModels * sizeof(float*));
  size_t* sizes = AtPageEnd(kModels * sizeof(size_t));
  for (int i = 0; i < kModels; ++i) {
    gradients[i] = gradient;
    sizes[i] = kRows;
  }
  backward->output_gradients = gradients;
  backward->output_gradient_sizes = sizes;
  backward->outcomes = AtPageEnd(kModels);
  OK(api->session_backward(backward));
  MB_UpdateArgs* update = NEW(MB_UpdateArgs, outcomes);
  update->session = session;
  update->columns = MakeColumns(&update->num_columns);
  update->outcomes = AtPageEnd(kModels);
  OK(api->session_update(update));
  for (int i = 0; i < kModels; ++i) {
    EXPECT(backward->outcomes[i] == MB_MODEL_STEPPED);
    EXPECT(update->outcomes[i] == MB_MODEL_STEPPED);
    for (int row = 0; row < kRows; ++row) {
      for (int j = 0; j < kInputs; ++j) {
        models[i].weight[j] -=
            kRates[i] * (row + 1) * (double)kFeatures[row][j];
      }
      models[i].bias -= kRates[i] * (row + 1);
    }
  }
}

/* The parameters of linear(2 -> 1) are there once each, and the step count. */
static void Describe(MB_Session* session) {
  if (api->session_describe == NULL) return;
  MB_DescribeArgs* args = NEW(MB_DescribeArgs, output_rank);
  args->session = session;
  args->model = 1;
  OK(api->session_describe(args));
  EXPECT(args->output_rank == 1 && args->output_shape[0] == 1);
  int weights = 0, biases = 0, steps = 0;
  for (size_t i = 0; i < args->num_states; ++i) {
    const MB_StateInfo* state = &args->states[i];
    if (strcmp(state->slot, "step") == 0) {
      ++steps;
      EXPECT(state->parameter == NULL && state->rank == 0);
      EXPECT(state->dtype.code == MB_DL_INT && state->dtype.bits == 64);
    }
    if (strcmp(state->slot, "param") != 0) continue;
    EXPECT(state->dtype.code == MB_DL_FLOAT && state->dtype.bits == 32);
    if (strcmp(state->parameter, "0.weight") == 0) {
      ++weights;
      EXPECT(state->rank == 2 && state->shape[0] == 1 &&
             state->shape[1] == kInputs);
    } else {
      ++biases;
      EXPECT(strcmp(state->parameter, "0.bias") == 0);
      EXPECT(state->rank == 1 && state->shape[0] == 1);
    }
  }
  EXPECT(weights == 1 && biases == 1 && steps == 1);
}

/* May be there and not be implemented. */
static void Tune(MB_Session* session) {
  if (api->session_tune == NULL) return;
  MB_NamedValue* time = AtPageEnd(sizeof(MB_NamedValue));
  time->name = "time_ms";
  time->type = MB_VALUE_INT64;
  time->i = 1;
  MB_TuneArgs* args = NEW(MB_TuneArgs, seconds);
  args->session = session;
  args->options = time;
  args->num_options = 1;
  MB_Error* const error = api->session_tune(args);
  if (error == NULL) {
    EXPECT(args->notes != NULL);
    return;
  }
  EXPECT(api->error_code(error) == MB_UNIMPLEMENTED);
  api->error_destroy(error);
}

static void Stats(MB_Session* session) {
  if (api->session_stats == NULL) return;
  MB_SessionStatsArgs* args = NEW(MB_SessionStatsArgs, plan);
  args->session = session;
  OK(api->session_stats(args));
  EXPECT(args->plan != NULL && args->state_bytes > 0);
}

static void SetOptimizer(MB_Session* session) {
  MB_OptimizerArgs* args = NEW(MB_OptimizerArgs, optimizer);
  args->session = session;
  args->optimizer = "no such optimizer";
  MB_Error* const error = api->session_set_optimizer(args);
  EXPECT(error != NULL && api->error_code(error) != MB_OK);
  EXPECT(strstr(api->error_message(error), "no such optimizer") != NULL);
  api->error_destroy(error);
  args->optimizer = "sgd";
  OK(api->session_set_optimizer(args));
}

static MB_Dataset* CreateDataset(MB_Backend* backend) {
  MB_DatasetCreateArgs* args = NEW(MB_DatasetCreateArgs, dataset);
  args->backend = backend;
  args->features = Managed(&kFeatures[0][0], kInputs);
  args->targets = Managed(kTargets, 1);
  OK(api->dataset_create(args));
  EXPECT(args->dataset != NULL);
  return args->dataset;
}

static MB_Backend* CreateBackend(void) {
  MB_ProbeArgs* probe = NEW(MB_ProbeArgs, reason);
  OK(api->plugin_probe(probe));
  EXPECT(probe->score > 0 && probe->reason != NULL);
  MB_BackendCreateArgs* create = NEW(MB_BackendCreateArgs, backend);
  OK(api->backend_create(create));
  EXPECT(create->backend != NULL);
  MB_CapabilitiesArgs* has = NEW(MB_CapabilitiesArgs, features);
  has->backend = create->backend;
  OK(api->backend_capabilities(has));
  EXPECT(has->operators != NULL && has->operators[0] != NULL);
  return create->backend;
}

int main(int argc, char** argv) {
  EXPECT(argc == 2);
  void* const library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) fprintf(stderr, "%s\n", dlerror());
  EXPECT(library != NULL);
  MB_GetPluginApiFunction get_api;
  *(void**)&get_api = dlsym(library, MB_GET_PLUGIN_API_SYMBOL);
  EXPECT(get_api != NULL);
  api = get_api(MakeHost(argv[1]));
  EXPECT(api != NULL && api->header.abi_major == MB_ABI_MAJOR);
  EXPECT(api->header.struct_size >= MB_SIZE(MB_PluginApi, session_tune));
  printf("%s has ABI %u.%u\n", api->name, (unsigned)api->header.abi_major,
         (unsigned)api->header.abi_minor);

  MB_Backend* const backend = CreateBackend();
  MB_Dataset* const dataset = CreateDataset(backend);
  MB_Session* const session = Compile(backend);
  Reference models[kModels] = {{{0.5, -0.25}, 0.125}, {{-1, 0.75}, 0}};
  for (size_t i = 0; i < kModels; ++i) {
    float* weight = AtPageEnd(kInputs * sizeof(float));
    float* bias = AtPageEnd(sizeof(float));
    for (int j = 0; j < kInputs; ++j) weight[j] = (float)models[i].weight[j];
    *bias = (float)models[i].bias;
    Move(api->session_write_state, session, i, "param", "0.weight", weight, 2);
    Move(api->session_write_state, session, i, "param", "0.bias", bias, 1);
  }
  SetOptimizer(session);
  Describe(session);
  Train(session, dataset, models);
  Tune(session);
  Train(session, dataset, models);
  StepInParts(session, dataset, models);
  for (size_t i = 0; i < kModels; ++i) {
    float* weight = AtPageEnd(kInputs * sizeof(float));
    float* bias = AtPageEnd(sizeof(float));
    Move(api->session_read_state, session, i, "param", "0.weight", weight, 2);
    Move(api->session_read_state, session, i, "param", "0.bias", bias, 1);
    for (int j = 0; j < kInputs; ++j) {
      ExpectNear((double)weight[j], models[i].weight[j], "a weight");
    }
    ExpectNear((double)*bias, models[i].bias, "a bias");
  }
  Evaluate(session, dataset, models);
  Forward(session, dataset, models);
  Stats(session);
  api->session_destroy(session);
  api->dataset_destroy(dataset);
  api->backend_destroy(backend);
  EXPECT(deleted == 2);
  puts("PASSED");
  return 0;
}
