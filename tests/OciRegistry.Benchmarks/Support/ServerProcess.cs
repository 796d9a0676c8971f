using System.Diagnostics;
using System.Net.Http.Headers;
using OciRegistry.IntegrationTests.Support;

namespace OciRegistry.Benchmarks.Support;

/// <summary>A server that runs as a process of its own, on a free port, and what the kernel says of it.</summary>
internal sealed class ServerProcess : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly Process _process;
    private readonly Queue<string> _lastLines = new();

    private ServerProcess(Process process, Uri address, AuthenticationHeaderValue? authorization)
    {
        _process = process;
        Address = address;
        Client = new RegistryClient(address, authorization);
        AppDomain.CurrentDomain.ProcessExit += Kill;
        process.OutputDataReceived += Remember;
        process.ErrorDataReceived += Remember;
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    public Uri Address { get; }

    public RegistryClient Client { get; }

    /// <summary>From the start of the process to its first answer to GET /v2/.</summary>
    public TimeSpan TimeToAnswer { get; private set; }

    /// <summary>From the start of the process to its first 200 to GET /readyz, where it has that.</summary>
    public TimeSpan TimeToReady { get; private set; }

    /// <summary>The most memory that the process ever had resident.</summary>
    public double PeakMemoryMiB => ResidentMemory.PeakMiB(Id);

    public int Id => _process.Id;

    /// <summary>Processor time of all its threads so far.</summary>
    public CpuTime Cpu => CpuTime.Of(Id);

    /// <summary>Where the server lies that is built together with this program.</summary>
    public static string BuiltExecutable() => Path.GetFullPath(
        Path.Combine(AppContext.BaseDirectory, "..", "..", "OciRegistry.Server", "release", "OciRegistry.Server"));

    public static Task<ServerProcess> StartAsync(string executable, string storage, RedisServer? redis) =>
        StartAsync(executable, storage, redis, [$"--OciRegistry:Storage:FileSystem:Root={storage}"]);

    /// <param name="executable">The server.</param>
    /// <param name="folder">Where it runs.</param>
    /// <param name="azurite">Where it stores.</param>
    /// <param name="container">In which container.</param>
    public static Task<ServerProcess> StartAsync(string executable, string folder, AzuriteServer azurite, string container) =>
        StartAsync(
            executable,
            folder,
            redis: null,
            [
                $"--OciRegistry:Storage:AzureBlobs:ConnectionString={azurite.ConnectionString}",
                $"--OciRegistry:Storage:AzureBlobs:Container={container}",
            ]);

    /// <param name="executable">The server.</param>
    /// <param name="storage">Where it stores.</param>
    /// <param name="authorization">What it is to take from its <see cref="Client"/>; null for nothing.</param>
    /// <param name="settings">Those that say so, and others, as <c>OciRegistry:Section:Name=value</c>.</param>
    public static Task<ServerProcess> StartAsync(
        string executable, string storage, AuthenticationHeaderValue? authorization, IEnumerable<string> settings) =>
        StartAsync(
            executable,
            storage,
            redis: null,
            [$"--OciRegistry:Storage:FileSystem:Root={storage}", .. settings.Select(setting => $"--{setting}")],
            authorization);

    /// <summary>Starts a server that listens for TLS only.</summary>
    /// <param name="executable">The server.</param>
    /// <param name="storage">Where it stores.</param>
    /// <param name="certificate">Its certificate and key, as PEM files.</param>
    public static Task<ServerProcess> StartTlsAsync(
        string executable, string storage, (string Certificate, string Key) certificate) =>
        StartAsync(
            executable,
            storage,
            redis: null,
            [
                $"--OciRegistry:Storage:FileSystem:Root={storage}",
                $"--Kestrel:Certificates:Default:Path={certificate.Certificate}",
                $"--Kestrel:Certificates:Default:KeyPath={certificate.Key}",
            ],
            scheme: Uri.UriSchemeHttps);

    private static async Task<ServerProcess> StartAsync(
        string executable,
        string storage,
        RedisServer? redis,
        string[] settings,
        AuthenticationHeaderValue? authorization = null,
        string scheme = "http")
    {
        var address = NextAddress(scheme);
        var start = new ProcessStartInfo(executable, [$"--urls={address.GetLeftPart(UriPartial.Authority)}", .. settings])
        {
            Environment = { ["Logging__LogLevel__Microsoft"] = "Warning" }, // what the program's own default is, to be sure
        };
        if (redis is not null)
        {
            start.ArgumentList.Add($"--OciRegistry:Redis:Configuration={redis.Address}");
        }

        return await StartAsync(start, storage, address, readiness: "/readyz", authorization);
    }

    /// <summary>Debian's docker-registry (CNCF distribution) as Debian configures it, without a log of requests.</summary>
    /// <param name="storage">Where it stores.</param>
    /// <param name="certificate">Its certificate and key, as PEM files; null for a server without TLS.</param>
    public static async Task<ServerProcess> StartDistributionAsync(
        string storage, (string Certificate, string Key)? certificate = null)
    {
        var address = NextAddress(certificate is null ? Uri.UriSchemeHttp : Uri.UriSchemeHttps);
        var tls = certificate is { } files ? $", tls: {{certificate: {files.Certificate}, key: {files.Key} }}" : "";
        var configuration = $"{storage}.yml";
        await File.WriteAllTextAsync(configuration, $$"""
            version: 0.1
            log: {level: error, accesslog: {disabled: true} }
            storage:
              cache: {blobdescriptor: inmemory}
              delete: {enabled: true}
              filesystem: {rootdirectory: {{storage}} }
            http: {addr: {{address.Authority}}{{tls}} }
            """);
        var start = new ProcessStartInfo("docker-registry") { ArgumentList = { "serve", configuration } };
        return await StartAsync(start, storage, address, readiness: null);
    }

    private static Uri NextAddress(string scheme) => new($"{scheme}://127.0.0.1:{FreePort.Next()}");

    private static async Task<ServerProcess> StartAsync(
        ProcessStartInfo start,
        string storage,
        Uri address,
        string? readiness,
        AuthenticationHeaderValue? authorization = null)
    {
        Directory.CreateDirectory(storage);
        start.WorkingDirectory = storage;
        start.RedirectStandardOutput = true;
        start.RedirectStandardError = true;
        var started = Stopwatch.GetTimestamp();
        var server = new ServerProcess(Process.Start(start)!, address, authorization);
        try
        {
            server.TimeToAnswer = await server.AnswersAsync("/v2/", started);
            server.TimeToReady = readiness is null ? server.TimeToAnswer : await server.AnswersAsync(readiness, started);
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        AppDomain.CurrentDomain.ProcessExit -= Kill;
        Client.Dispose();
        Kill(null, EventArgs.Empty);
        await _process.WaitForExitAsync();
        _process.Dispose();
    }

    private async Task<TimeSpan> AnswersAsync(string path, long started)
    {
        while (!_process.HasExited && Stopwatch.GetElapsedTime(started) < Patience)
        {
            try
            {
                await Client.GetAsync(path);
                return Stopwatch.GetElapsedTime(started);
            }
            catch (HttpRequestException)
            {
                await Task.Delay(1);
            }
        }

        lock (_lastLines)
        {
            throw new InvalidOperationException($"The server does not answer {path}:\n{string.Join('\n', _lastLines)}");
        }
    }

    private void Remember(object sender, DataReceivedEventArgs line)
    {
        lock (_lastLines)
        {
            _lastLines.Enqueue(line.Data ?? "");
            if (_lastLines.Count > 20)
            {
                _lastLines.Dequeue();
            }
        }
    }

    private void Kill(object? sender, EventArgs e)
    {
        if (!_process.HasExited)
        {
            _process.Kill();
        }
    }
}
