using System.Net;
using OciRegistry.Tests.Support;
using static OciRegistry.Tests.Auth.TokenClient;

namespace OciRegistry.Tests.Auth;

/// <summary>A registry whose signing key the tests have as well.</summary>
public sealed class ForgedRegistry : IAsyncLifetime
{
    private readonly AuthFolder _folder = new();
    private RegistryApp? _registry;
    private TokenForge? _forge;
    private int _linesSeen;

    internal RegistryApp Registry => _registry!;

    /// <summary>Tokens of alice, who may push below <c>test</c>.</summary>
    internal TokenForge Forge => _forge!;

    public async ValueTask InitializeAsync()
    {
        var key = AuthFolder.NewKey();
        _folder.SetKeys(key);
        _registry = await TokenRegistry.StartAsync(_folder);
        _forge = new TokenForge(key, "user:alice", _folder.CredentialOf("alice"), DateTimeOffset.UtcNow);
    }

    public async ValueTask DisposeAsync()
    {
        await Registry.DisposeAsync();
        _folder.Dispose();
    }

    /// <summary>Nothing failed, and a good token still does, where it is meant to and nowhere else.</summary>
    internal async Task ShouldBeUnharmedAsync()
    {
        var lines = Registry.Log.Lines.Skip(_linesSeen).ToArray();
        _linesSeen += lines.Length;
        string.Join('\n', lines.Where(line => !line.StartsWith("Warning"))).ShouldBeEmpty();
        using var good = await Registry.Http.RequestAsync("GET", "/v2/test/a/tags/list", Bearer(Forge.Token()));
        await good.ShouldBeErrorAsync(HttpStatusCode.NotFound, "NAME_UNKNOWN");
    }
}
