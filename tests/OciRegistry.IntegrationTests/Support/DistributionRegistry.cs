namespace OciRegistry.IntegrationTests.Support;

/// <summary>Debian's docker-registry (CNCF distribution), empty, on a free loopback port: somebody else's registry.</summary>
internal sealed class DistributionRegistry : IUpstreamRegistry
{
    private readonly TempFolder _folder;
    private BackgroundProcess _process;

    private DistributionRegistry(TempFolder folder, string host)
    {
        (_folder, Host) = (folder, host);
        Http = new HttpClient(new SocketsHttpHandler { UseProxy = false }) { BaseAddress = new Uri($"http://{host}") };
        _process = Launch();
    }

    public string Host { get; }

    public HttpClient Http { get; }

    /// <param name="account">Who alone may use it, by name and password with each request; null for everybody.</param>
    public static async Task<DistributionRegistry> StartAsync(Account? account = null)
    {
        Tool.Require("docker-registry");
        var folder = new TempFolder();
        var host = $"127.0.0.1:{FreePort.Next()}";
        await File.WriteAllTextAsync(folder["config.yml"], $$"""
            version: 0.1
            log: {level: error}
            storage:
              filesystem: {rootdirectory: {{folder["data"]}}}
              delete: {enabled: true}
            http: {addr: {{host}}}
            {{(account is null ? "" : $"auth: {{htpasswd: {{realm: distribution, path: {folder["htpasswd"]}}}}}")}}
            """);
        if (account is not null)
        {
            await File.WriteAllTextAsync(folder["htpasswd"], account.HtpasswdLine);
        }

        var registry = new DistributionRegistry(folder, host);
        try
        {
            await registry.UntilReadyAsync();
            return registry;
        }
        catch
        {
            await registry.DisposeAsync();
            throw;
        }
    }

    public async Task KillAsync()
    {
        await _process.KillAsync();
        await _process.DisposeAsync();
    }

    public async Task RestartAsync()
    {
        _process = Launch();
        await UntilReadyAsync();
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        try
        {
            await _process.DisposeAsync();
        }
        catch (InvalidOperationException)
        {
            // Killed by the test.
        }

        await _folder.DisposeAsync();
    }

    private BackgroundProcess Launch() => Tool.Require("docker-registry").Start("serve", _folder["config.yml"]);

    private Task UntilReadyAsync() =>
        _process.WaitUntilReadyAsync(() => Http.AnswersAsync(new Uri("/v2/", UriKind.Relative)));
}
