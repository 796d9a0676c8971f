namespace OciRegistry.Tests.Support;

/// <summary>One registry with default settings for all tests of a class; each test has a repository of its own in it.</summary>
public sealed class RegistryFixture : IAsyncLifetime
{
    private RegistryApp? _registry;

    internal RegistryApp Registry => _registry!;

    public async ValueTask InitializeAsync() => _registry = await RegistryApp.StartAsync();

    public ValueTask DisposeAsync() => Registry.DisposeAsync();
}
