using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Support;

/// <summary>
/// HAProxy before replicas, as a Service of Kubernetes is: it passes connections on, in turn, to those whose /readyz says 200,
/// knows nothing of HTTP, and tries none again.
/// </summary>
internal sealed class Balancer : IAsyncDisposable
{
    /// <summary>Longer than it takes to notice that a replica is not ready any more, on a busy machine too: it asks every 50 ms.</summary>
    public const string Announce = "OciRegistry:Drain:Announce=00:00:02";

    private readonly BackgroundProcess _process;
    private readonly TempFolder _folder;

    private Balancer(BackgroundProcess process, TempFolder folder, string host)
    {
        (_process, _folder, Host) = (process, folder, host);
        Http = RegistryClient.To(new Uri($"http://{host}"));
    }

    public string Host { get; }

    public HttpClient Http { get; }

    public static async Task<Balancer> StartAsync(ReplicaSet replicas)
    {
        var haproxy = Tool.Require("haproxy");
        var folder = new TempFolder();
        var port = FreePort.Next();
        await File.WriteAllTextAsync(folder["haproxy.cfg"], $"""
            global
              log stdout format raw daemon notice
            defaults
              mode tcp
              log global
              timeout connect 5s
              timeout check 5s
              timeout client 2m
              timeout server 2m
              retries 0
            listen registry
              bind 127.0.0.1:{port}
              balance roundrobin
              option httpchk GET /readyz
              default-server check inter 50ms fastinter 50ms downinter 50ms fall 1 rise 1
            {string.Join('\n', Enumerable.Range(0, replicas.Count).Select(i => $"  server replica{i} {replicas[i].Host}"))}

            """);
        var process = haproxy.Start("-db", "-f", folder["haproxy.cfg"]);
        var balancer = new Balancer(process, folder, $"127.0.0.1:{port}");
        try
        {
            await process.WaitUntilReadyAsync(() => balancer.Http.AnswersAsync(new Uri("/v2/", UriKind.Relative)));
            return balancer;
        }
        catch
        {
            await balancer.DisposeAsync();
            throw;
        }
    }

    /// <summary>Waits until it has said so of a replica as often as is asked: "is UP", "is DOWN".</summary>
    public Task UntilSaidAsync(int replica, string what, int times) => Until.TrueAsync(
        () => _process.Log.Split($"/replica{replica} {what}").Length > times, $"the balancer says that replica {replica} {what}");

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await _process.DisposeAsync();
        await _folder.DisposeAsync();
    }
}
