using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.BadInputs;

/// <summary>A registry in a folder beside others, which must stay as they are whatever it is sent.</summary>
public sealed class UnharmedRegistry : IAsyncLifetime
{
    private readonly string _parent = Directory.CreateTempSubdirectory("oci-registry-").FullName;
    private string[] _before = [];
    private int _linesSeen;
    private RegistryApp? _registry;

    internal RegistryApp Registry => _registry!;

    internal HttpClient Http => Registry.Http;

    internal Uri Url => Registry.Url;

    public async ValueTask InitializeAsync()
    {
        Directory.CreateDirectory(Path.Combine(_parent, "etc"));
        await File.WriteAllTextAsync(Path.Combine(_parent, "etc", "passwd"), "root");
        _registry = await RegistryApp.StartAsync(
            options =>
            {
                options.Uploads.MaxBlobSize = 64 * 1024 * 1024;
                options.Uploads.OrderWait = TimeSpan.FromMilliseconds(200);
            },
            services => services.Configure<KestrelServerOptions>(kestrel =>
            {
                kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(1);
                kestrel.Limits.MinRequestBodyDataRate = new MinDataRate(240, TimeSpan.FromSeconds(1.5));
            }),
            Path.Combine(_parent, "root"));
        _before = Outside();
    }

    public async ValueTask DisposeAsync()
    {
        await Registry.DisposeAsync();
        Directory.Delete(_parent, recursive: true);
    }

    /// <summary>Nothing outside the root was touched, nothing failed inside, and pushes are served.</summary>
    internal async Task ShouldBeUnharmedAsync()
    {
        Outside().ShouldBe(_before);
        var failures = Registry.Log.Lines.Skip(_linesSeen).Where(line => !line.StartsWith("Warning", StringComparison.Ordinal)).ToArray();
        _linesSeen = Registry.Log.Lines.Count;
        string.Join('\n', failures).ShouldBeEmpty();
        var blob = RegistryClient.RandomBytes(10);
        using var push = await Http.RequestAsync("POST", $"/v2/unharmed/blobs/uploads/?digest={Digest.Of(blob)}", blob);
        await push.ShouldHaveCreatedAsync(Http, Digest.Of(blob), blob);
    }

    private string[] Outside() =>
        [.. Directory.EnumerateFileSystemEntries(_parent, "*", SearchOption.AllDirectories)
            .Where(path => !path.StartsWith(Registry.Root + "/", StringComparison.Ordinal))
            .Select(path => File.Exists(path) ? $"{path} {File.ReadAllText(path)}" : path)
            .Order(StringComparer.Ordinal)];
}

/// <summary>Rows of bad input; after each of them the registry must be unharmed.</summary>
public abstract class BadInput(UnharmedRegistry unharmed) : IClassFixture<UnharmedRegistry>, IAsyncLifetime
{
    internal HttpClient Http => unharmed.Http;

    internal Uri Url => unharmed.Url;

    /// <summary>Of this row alone.</summary>
    protected string Repository { get; } = RegistryClient.NewRepository();

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        await unharmed.ShouldBeUnharmedAsync();
        GC.SuppressFinalize(this);
    }

    internal Task<RawAnswer> AskAsync(string head, string body = "") => RawHttp.AskAsync(Url, head, body);
}
