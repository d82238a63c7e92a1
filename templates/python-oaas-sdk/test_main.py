import unittest

from oaas_sdk2_py import OaasConfig, oaas

oaas.configure(OaasConfig(mock_mode=True))  # before the classes are declared

import main


class TestCounter(unittest.IsolatedAsyncioTestCase):
    async def test_add(self):
        counter = main.Counter.create(1)
        self.assertEqual(await counter.add(2), 2)
        self.assertEqual(await counter.add(3), 5)
        self.assertEqual(await counter.get(), 5)

    async def test_below_zero(self):
        with self.assertRaises(ValueError):
            await main.Counter.create(2).add(-1)


if __name__ == "__main__":
    unittest.main()
