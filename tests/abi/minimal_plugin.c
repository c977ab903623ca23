/* A plugin in C that does as little as the ABI allows, and, with
 * -DDEFECT_<name>, does one thing wrong. It reads no more of a struct than it
 * needs and never looks at what a later version might add. */
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "modelbatch/plugin/c_api.h"

#if !defined(PLUGIN_NAME)
#define PLUGIN_NAME "minimal"
#endif

struct MB_Error {
  int32_t code;
  const char* message;
};
struct MB_Backend {
  int unused;
};
struct MB_Session {
  size_t num_models;
};
struct MB_Dataset {
  MB_DLManagedTensor* features;
  MB_DLManagedTensor* targets;
};

static MB_Error* Fail(int32_t code, const char* message) {
  MB_Error* error = (MB_Error*)malloc(sizeof(MB_Error));
  error->code = code;
  error->message = message;
  return error;
}

static int32_t ErrorCode(const MB_Error* error) { return error->code; }
static const char* ErrorMessage(const MB_Error* error) {
  return error->message;
}
static void ErrorDestroy(MB_Error* error) { free(error); }

/* What takes the process along: for whoever asks in a process of its own. */
#if defined(DEFECT_crash_at_load)
__attribute__((constructor)) static void AtLoad(void) { raise(SIGSEGV); }
#elif defined(DEFECT_hang_at_load)
__attribute__((constructor)) static void AtLoad(void) {
  for (;;) pause();
}
#elif defined(DEFECT_exit_at_load)
__attribute__((constructor)) static void AtLoad(void) { exit(7); }
#elif defined(DEFECT_crash_at_exit)
__attribute__((destructor)) static void AtExit(void) { raise(SIGBUS); }
#elif defined(DEFECT_leaves_a_process)
__attribute__((constructor)) static void AtLoad(void) {
  if (fork() == 0) {
    for (;;) pause();
  }
}
#endif

static MB_Error* Probe(MB_ProbeArgs* args) {
#if defined(DEFECT_exit_in_probe)
  exit(0);
#elif defined(DEFECT_hang_in_probe)
  for (;;) pause();
#elif defined(DEFECT_prints)
  puts("to standard output");
  fputs("to standard error\n", stderr);
#elif defined(DEFECT_scores_zero)
  args->score = 0;
  args->device = NULL;
  args->reason = "there is no such device";
  return NULL;
#elif defined(DEFECT_scores_high) || defined(DEFECT_scores_high_then_refuses)
  args->score = 99;
  args->device = "all";
  args->reason = "it thinks so";
  return NULL;
#endif
  args->score = 1;
  args->device = "none";
  args->reason = "for tests";
#if defined(DEFECT_null_reason)
  args->reason = NULL;
#elif defined(DEFECT_negative_score)
  args->score = -1;
#endif
  return NULL;
}

static MB_Error* BackendCreate(MB_BackendCreateArgs* args) {
  if (args->num_options > 0) {
    return Fail(MB_INVALID_ARGUMENT, args->options[0].name);
  }
#if defined(DEFECT_abort_in_create)
  abort();
#elif defined(DEFECT_scores_high_then_refuses)
  return Fail(MB_UNAVAILABLE, "the device is busy");
#elif defined(DEFECT_null_message)
  return Fail(MB_UNAVAILABLE, NULL);
#elif defined(DEFECT_code_zero)
  return Fail(MB_OK, "all is well");
#elif defined(DEFECT_unknown_code)
  return Fail(99, "too new");
#elif defined(DEFECT_null_backend)
  return NULL;
#else
  args->backend = (MB_Backend*)malloc(sizeof(MB_Backend));
  return NULL;
#endif
}
static void BackendDestroy(MB_Backend* backend) { free(backend); }

static const char* const kNone[] = {NULL};

static MB_Error* Capabilities(MB_CapabilitiesArgs* args) {
  args->operators = kNone;
  args->losses = kNone;
  args->optimizers = kNone;
  args->precisions = kNone;
  args->features = kNone;
#if defined(DEFECT_null_capabilities)
  args->losses = NULL;
#endif
  return NULL;
}

static MB_Error* Compile(MB_SessionCompileArgs* args) {
#if defined(DEFECT_null_session)
  (void)args;
  return NULL;
#else
  args->session = (MB_Session*)malloc(sizeof(MB_Session));
  args->session->num_models = args->num_models;
  return NULL;
#endif
}
static void SessionDestroy(MB_Session* session) { free(session); }

static MB_Error* SetOptimizer(MB_OptimizerArgs* args) {
  (void)args;
  return NULL;
}

static MB_Error* State(MB_StateArgs* args) {
  (void)args;
  return NULL;
}

static void LetGo(MB_DLManagedTensor* tensor) {
  if (tensor != NULL && tensor->deleter != NULL) tensor->deleter(tensor);
}

static MB_Error* DatasetCreate(MB_DatasetCreateArgs* args) {
#if defined(DEFECT_null_dataset)
  LetGo(args->features);
  LetGo(args->targets);
#else
  args->dataset = (MB_Dataset*)malloc(sizeof(MB_Dataset));
  args->dataset->features = args->features;
  args->dataset->targets = args->targets;
#endif
  return NULL;
}
static void DatasetDestroy(MB_Dataset* dataset) {
  LetGo(dataset->features);
  LetGo(dataset->targets);
  free(dataset);
}

static MB_Error* TrainStep(MB_TrainStepArgs* args) {
#if defined(DEFECT_no_outcome)
  (void)args;
#else
  for (size_t i = 0; i < args->session->num_models; ++i) {
    args->losses[i] = 0.5f;
    args->outcomes[i] = MB_MODEL_STEPPED;
#if defined(DEFECT_bad_outcome)
    args->outcomes[i] = 5;
#endif
  }
#endif
  return NULL;
}

static MB_Error* Evaluate(MB_EvaluateArgs* args) {
  (void)args;
  return NULL;
}

static MB_Error* Forward(MB_ForwardArgs* args) {
  (void)args;
  return NULL;
}

#if defined(DEFECT_null_plan)
static MB_Error* Stats(MB_SessionStatsArgs* args) {
  args->plan = NULL;
  return NULL;
}
#endif

#if defined(TABLE_AT_PAGE_END)
/* Whoever reads what is not of this version crashes. */
static MB_PluginApi* NewTable(void) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  char* const memory = (char*)mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory + page, page, PROT_NONE) != 0) {
    abort();
  }
  return (MB_PluginApi*)(memory + page - MB_SIZE(MB_PluginApi, session_tune));
}
#else
/* What a later version might look like: more behind the last field. */
static struct {
  MB_PluginApi api;
  void* later[4];
} table;

static MB_PluginApi* NewTable(void) {
  memset(&table, 0, sizeof(table));
  return &table.api;
}
#endif

#if defined(DEFECT_missing_symbol)
#define MB_GetPluginApi MB_GetOtherApi
#endif

__attribute__((visibility("default"))) const MB_PluginApi* MB_GetPluginApi(
    const MB_HostApi* host) {
  MB_PluginApi* api = NewTable();
  (void)host;
#if defined(DEFECT_crash_in_get_api)
  raise(SIGILL);
#endif
  api->header.struct_size = MB_SIZE(MB_PluginApi, session_tune);
  api->header.abi_major = MB_ABI_MAJOR;
  api->header.abi_minor = MB_ABI_MINOR;
  api->name = PLUGIN_NAME;
  api->version = "1.2.3";
  api->build_id = "made by hand";
  api->sanitizer = "";
  api->error_code = ErrorCode;
  api->error_message = ErrorMessage;
  api->error_destroy = ErrorDestroy;
  api->plugin_probe = Probe;
  api->backend_create = BackendCreate;
  api->backend_destroy = BackendDestroy;
  api->backend_capabilities = Capabilities;
  api->session_compile = Compile;
  api->session_destroy = SessionDestroy;
  api->session_set_optimizer = SetOptimizer;
  api->session_read_state = State;
  api->session_write_state = State;
  api->dataset_create = DatasetCreate;
  api->dataset_destroy = DatasetDestroy;
  api->session_train_step = TrainStep;
  api->session_evaluate = Evaluate;
  api->session_forward = Forward;
#if defined(DEFECT_wrong_major)
  api->header.abi_major = MB_ABI_MAJOR + 1;
#elif defined(DEFECT_abi_0_2)
  /* The last before 1.0, whose table was of this size. */
  api->header.abi_major = 0;
  api->header.abi_minor = 2;
  api->header.struct_size = 224;
#elif defined(DEFECT_later_minor)
  api->header.abi_minor = 99;
  api->header.struct_size = sizeof(table);
  memset(table.later, 0xff, sizeof(table.later));
#elif defined(DEFECT_tiny_struct)
  api->header.struct_size = sizeof(MB_Header) - 1;
#elif defined(DEFECT_short_struct)
  api->header.struct_size = MB_SIZE(MB_PluginApi, session_zero_grad);
#elif defined(DEFECT_longer_struct)
  api->header.struct_size = sizeof(table);
  table.later[3] = &table;
#elif defined(DEFECT_null_required)
  api->session_train_step = NULL;
#elif defined(DEFECT_null_name)
  api->name = NULL;
#elif defined(DEFECT_empty_name)
  api->name = "";
#elif defined(DEFECT_malformed_name)
  api->name = "../Minimal";
#elif defined(DEFECT_null_version)
  api->version = NULL;
#elif defined(DEFECT_empty_build_id)
  api->build_id = "";
#elif defined(DEFECT_null_sanitizer)
  api->sanitizer = NULL;
#elif defined(DEFECT_null_plan)
  api->session_stats = Stats;
#elif defined(DEFECT_null_api)
  return NULL;
#endif
  return api;
}
