using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Net;
using OciRegistry.IntegrationTests.Support;

namespace OciRegistry.IntegrationTests.Chaos;

/// <summary>The replicas, with clients for each, and which process of a replica is running.</summary>
internal sealed class ChaosReplicas(ReplicaSet replicas) : IDisposable
{
    private readonly ChaosProcess[] _processes = [.. Enumerable.Range(0, replicas.Count).Select(_ => new ChaosProcess())];

    // Without a time limit: each request has its own.
    private readonly HttpClient[] _plain =
        [.. Enumerable.Range(0, replicas.Count).Select(i => ClientOf(replicas[i].Http.BaseAddress!))];

    // One connection to each replica, shared by all clients that use HTTP/2.
    private readonly HttpClient[] _http2 = [.. Enumerable.Range(0, replicas.Count).Select(i => ClientOf(replicas[i].Tls!))];

    public int Count => replicas.Count;

    public ISharedStorage Storage => replicas.Storage;

    public HttpClient Client(int index, bool overHttp2) => overHttp2 ? _http2[index] : _plain[index];

    public ChaosProcess Process(int index) => Volatile.Read(ref _processes[index]);

    public Task PauseAsync(int index) => replicas.PauseAsync(index);

    public void Resume(int index) => replicas[index].Resume();

    /// <summary>Kills a replica (SIGKILL) and starts it again on the same ports.</summary>
    public async Task KillAsync(int index)
    {
        _processes[index].IsDoomed = true;
        await replicas[index].KillAsync();
        await replicas.Storage.SettleAsync();
        _processes[index].Ended = Stopwatch.GetTimestamp();
        Volatile.Write(ref _processes[index], new ChaosProcess());
        await replicas[index].RestartAsync();
    }

    public void Dispose()
    {
        foreach (var client in _plain.Concat(_http2))
        {
            client.Dispose();
        }
    }

    [SuppressMessage("Security", "CA5359", Justification = "The certificate is the test's own.")]
    private static HttpClient ClientOf(Uri address)
    {
        var isTls = address.Scheme == Uri.UriSchemeHttps;
        var handler = new SocketsHttpHandler { AllowAutoRedirect = false, UseProxy = false };
        handler.SslOptions.RemoteCertificateValidationCallback = (_, _, _, _) => true;
        return new HttpClient(handler)
        {
            BaseAddress = address,
            Timeout = Timeout.InfiniteTimeSpan,
            DefaultRequestVersion = isTls ? HttpVersion.Version20 : HttpVersion.Version11,
            DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact,
        };
    }
}
