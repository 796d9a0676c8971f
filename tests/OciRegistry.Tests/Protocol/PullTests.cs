using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Protocol;
public sealed class PullTests
{
    [Fact]
    public async Task A_pushed_image_is_pulled_byte_for_byte()
    {
        await using var registry = await RegistryApp.StartAsync();
        var manifest = await registry.Http.PushImageAsync("a/b", "v1");
        using var pulled = await registry.Http.GetManifestAsync("a/b", "v1");
        (await pulled.Content.ReadAsByteArrayAsync()).ShouldBe(manifest);
    }
}
