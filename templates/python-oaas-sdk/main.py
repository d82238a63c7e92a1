"""A class written with the Python SDK of OaaS-RS: typed fields are the state, and methods read and write it."""

from oaas_sdk2_py import OaasObject, oaas


@oaas.service("counter", package="{{.Name}}")
class Counter(OaasObject):
    count: int = 0  # entry 0
    last: str = ""  # entry 1

    @oaas.method()
    async def add(self, by: int) -> int:
        if by < 0:
            raise ValueError("a counter counts up")
        self.count += by
        await self.commit_async()  # the SDK writes nothing without it
        return self.count

    @oaas.method()
    async def note(self, text: str) -> str:
        self.last = text  # only this entry is written
        await self.commit_async()
        return text

    @oaas.method()
    async def get(self) -> int:
        return self.count

    @oaas.method()
    async def remove(self):
        self.delete()
        await self.commit_async()

    @oaas.function()
    async def greet(self, name: str) -> str:
        return f"Hello {name}"


if __name__ == "__main__":
    oaas.run_or_gen()
