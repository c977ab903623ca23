#include "modelbatch/plugin/sdk.h"
#include "tests/abi/recording_backend.h"

MODELBATCH_PLUGIN("recording", "4.5.6", modelbatch::ProbeRecording,
                  modelbatch::CreateRecording)

// The test's way in, beside the ABI.
extern "C" __attribute__((visibility("default"))) modelbatch::Recorder*
MB_TestRecorder() {
  return &modelbatch::GlobalRecorder();
}
