"""What OpenVINO and nncf would send of their use is not sent while fmbench runs."""

import subprocess
import sys

import pytest

pytest.importorskip("openvino", reason="pip install 'fmbench[openvino]'")


@pytest.mark.slow
def test_openvino_and_nncf_tell_their_maker_nothing() -> None:
    code = "from fmbench.backends import openvino; import nncf.telemetry.wrapper as nncf; import sys; "
    code += "import openvino.tools.ovc.telemetry_utils as ovc; "
    code += "assert ovc.tm.__name__.endswith('telemetry_stub') and isinstance(nncf.telemetry, nncf.NNCFTelemetryStub); "
    code += "assert not [name for name in sys.modules if name.startswith('openvino_telemetry.')]"
    subprocess.run([sys.executable, "-c", code], check=True)
