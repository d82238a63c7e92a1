import base64
import unittest

import main  # its methods
import oaas


class TestCounter(unittest.TestCase):
    def test_add(self):
        call = oaas.run("{{.Name}}.counter", "add", {"by": 2}, {"count": 3})
        self.assertEqual(call.result, {"count": 5})
        self.assertEqual(call.state, {"count": 5})

    def test_add_one_to_a_new_counter(self):
        self.assertEqual(oaas.run("{{.Name}}.counter", "add").state, {"count": 1})

    def test_below_zero(self):
        with self.assertRaises(oaas.Failure) as caught:
            oaas.run("{{.Name}}.counter", "add", {"by": -1})
        self.assertEqual(caught.exception.status, 409)

    def test_get(self):
        self.assertEqual(oaas.run("{{.Name}}.counter", "get", state={"count": 3}).result, {"count": 3})


class TestAudit(unittest.TestCase):
    def test_record(self):
        change = {
            "event_info": {"source_cls_id": "{{.Name}}.counter", "source_object_id": "c1", "key": "count"},
            "original_payload": base64.b64encode(b"6").decode(),
        }
        call = oaas.run("{{.Name}}.audit", "record", change, {"changes": 1, "last": 5})
        self.assertEqual(call.state, {"changes": 2, "last": 6})


if __name__ == "__main__":
    unittest.main()
