using System.Net;
using System.Net.Sockets;
using System.Text;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Attacks;

/// <summary>
/// Clients that take memory and give nothing, against a process whose heap is what .NET takes of a container of 1 GiB. Meanwhile
/// and afterwards others push and pull.
/// </summary>
public sealed class LimitedMemoryTests
{
    private const string Heap = "DOTNET_GCHeapHardLimit=30000000"; // 768 MiB, in hex
    private const int HalfHeads = 16_000;
    private const int Announced = 4 * 1024 * 1024;

    private const string Config =
        "{\"mediaType\":\"a/b\",\"size\":2,\"digest\":\"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\"}";

    private readonly List<Socket> _sockets = [];

    [Fact]
    public async Task Half_heads_of_thousands_of_connections_stop_nobody()
    {
        await using var folder = new TempFolder();
        await using var server = await StartAsync(folder);
        await AttackAsync(server, () => OpenAsync(
            server, HalfHeads, _ => ValueTask.FromResult("GET /v2/ HTTP/1.1\r\nHost: registr"u8.ToArray())));
    }

    [Fact]
    public async Task Announced_manifests_of_hundreds_of_connections_stop_nobody()
    {
        await using var folder = new TempFolder();
        await using var server = await StartAsync(folder);
        await AttackAsync(server, () => OpenAsync(server, 400, i => ValueTask.FromResult(Encoding.ASCII.GetBytes(
            $"PUT /v2/attack/manifests/t{i} HTTP/1.1\r\nHost: x\r\nContent-Type: {MediaTypes.ImageManifest}\r\n"
            + $"Content-Length: {Announced}\r\n\r\n{{"))));
    }

    [Fact]
    public async Task Announced_manifests_of_hundreds_of_streams_stop_nobody()
    {
        await using var folder = new TempFolder();
        await using var server = await StartAsync(folder);
        using var ending = new CancellationTokenSource();
        var pending = new List<Task>();
        await AttackAsync(server, async () =>
        {
            var started = 0;
            for (var connection = 0; connection < 3; connection++)
            {
                var client = WireProtocol.Http2OverTls.Client(server.Tls!);
                for (var stream = 0; stream < 99; stream++)
                {
                    pending.Add(client.SendAsync(
                        new HttpRequestMessage(HttpMethod.Put, $"/v2/attack/manifests/t{connection}-{stream}")
                        {
                            Version = HttpVersion.Version20,
                            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
                            Content = new Announcement(Announced, () => Interlocked.Increment(ref started)),
                        },
                        ending.Token));
                }
            }

            await Until.TrueAsync(() => Volatile.Read(ref started) == 3 * 99, "all streams have begun their bodies");
        });
        await ending.CancelAsync();
        await Task.WhenAll(pending).ContinueWith(_ => { }, TaskScheduler.Default); // each is cancelled, or was refused
    }

    /// <summary>What is made of a manifest while it is checked takes more than its bytes.</summary>
    [Theory]
    [InlineData("{\"mediaType\":\"a/b\",\"size\":0,\"digest\":\"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"}")]
    [InlineData("0")]
    [InlineData("{}")]
    public async Task Large_manifests_of_a_hundred_clients_stop_nobody(string layer)
    {
        var begin = $"{{\"schemaVersion\":2,\"mediaType\":\"{MediaTypes.ImageManifest}\",\"config\":{Config},\"layers\":[";
        var layers = (Announced - begin.Length - 10) / (layer.Length + 1);
        var manifest = Encoding.ASCII.GetBytes($"{begin}{string.Join(',', Enumerable.Repeat(layer, layers))}]}}");
        await using var folder = new TempFolder();
        await using var server = await StartAsync(folder);
        await AttackAsync(server, () => Parallel.ForAsync(
            0, Counts.Of(ci: 24, full: 400), new ParallelOptions { MaxDegreeOfParallelism = 100 }, async (i, cancellationToken) =>
            {
                using var content = new ByteArrayContent(manifest);
                content.Headers.ContentType = new(MediaTypes.ImageManifest);
                using var answer = await server.Http.PutAsync(
                    new Uri($"/v2/attack/manifests/t{i}", UriKind.Relative), content, cancellationToken);
                ((int)answer.StatusCode).ShouldBeOneOf(201, 400, 503);
            }));
    }

    [Fact]
    public async Task Readers_of_large_manifests_who_do_not_read_stop_nobody()
    {
        await using var folder = new TempFolder();
        await using var server = await StartAsync(folder);
        using (var content = new StringContent(
            $"{{\"schemaVersion\":2,\"mediaType\":\"{MediaTypes.ImageManifest}\",\"config\":{Config},\"layers\":[],"
            + $"\"annotations\":{{\"a\":\"{new string('x', Announced - 1_000)}\"}}}}"))
        {
            content.Headers.ContentType = new(MediaTypes.ImageManifest);
            using var pushed = await server.Http.PutAsync(new Uri("/v2/attack/manifests/large", UriKind.Relative), content);
            pushed.StatusCode.ShouldBe(HttpStatusCode.Created);
        }

        await AttackAsync(server, () => OpenAsync(server, 200, _ => ValueTask.FromResult(
            "GET /v2/attack/manifests/large HTTP/1.1\r\nHost: x\r\n\r\n"u8.ToArray())));
    }

    [Fact]
    public async Task Slow_bodies_of_thousands_of_uploads_stop_nobody()
    {
        await using var folder = new TempFolder();
        await using var server = await StartAsync(folder);
        await AttackAsync(server, () => OpenAsync(server, 2_000, async _ =>
        {
            var location = await server.Http.NewUploadAsync("attack");
            return Encoding.ASCII.GetBytes(
                $"PATCH {new Uri(new Uri($"http://{server.Host}"), location).PathAndQuery} HTTP/1.1\r\nHost: x\r\n"
                + $"Content-Length: {Announced}\r\n\r\n{new string('x', 200_000)}");
        }));
    }

    private static async Task<ServerProcess> StartAsync(TempFolder folder)
    {
        var (certificate, key) = await TestCertificate.WriteAsync(folder.Path);
        return await ServerProcess.StartOnAsync(
            folder["data"],
            Tool.Require("env").With(Heap),
            $"OciRegistry:Limits:Connections={HalfHeads + 2_000}",
            "OciRegistry:Manifests:References=Off",
            $"Kestrel:Certificates:Default:Path={certificate}",
            $"Kestrel:Certificates:Default:KeyPath={key}");
    }

    /// <summary>Others push and pull from before the attack until it is complete, and once more then, and after it.</summary>
    private async Task AttackAsync(ServerProcess server, Func<Task> attack)
    {
        try
        {
            var (rounds, isComplete) = (0, false);
            var others = Task.Run(async () =>
            {
                while (!Volatile.Read(ref isComplete))
                {
                    await ShouldServeAsync(server);
                    rounds++;
                }
            });
            await Until.TrueAsync(() => Volatile.Read(ref rounds) > 0, "others are served");
            await attack();
            await ShouldServeAsync(server);
            Volatile.Write(ref isComplete, true);
            await others;
        }
        finally
        {
            _sockets.ForEach(socket => socket.Dispose());
        }

        await ShouldServeAsync(server);
        server.Log.ShouldNotContain("OutOfMemory");
        server.Log.ShouldNotContain("failed to accept");
        await server.StopAsync();
    }

    private static async Task ShouldServeAsync(ServerProcess server)
    {
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(300_000);
        var digest = await server.Http.PushBlobAsync(repository, content);
        using var pulled = await server.Http.GetBlobAsync(repository, digest);
        await pulled.ShouldBeContentAsync(digest, content);
        await server.Http.PushImageAsync(repository, "v1");
        using var live = await server.Http.GetAsync(new Uri("/livez", UriKind.Relative));
        live.StatusCode.ShouldBe(HttpStatusCode.OK);
    }

    private async Task OpenAsync(ServerProcess server, int count, Func<int, ValueTask<byte[]>> request)
    {
        var endpoint = IPEndPoint.Parse(server.Host);
        await Parallel.ForAsync(0, count, new ParallelOptions { MaxDegreeOfParallelism = 16 }, async (i, cancellationToken) =>
        {
            var bytes = await request(i);
            var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { ReceiveBufferSize = 4_096 };
            lock (_sockets)
            {
                _sockets.Add(socket);
            }

            await socket.ConnectAsync(endpoint, cancellationToken);
            await socket.SendAsync(bytes, cancellationToken);
        });
    }

    /// <summary>A body of which only the first byte comes.</summary>
    private sealed class Announcement(long length, Action started) : HttpContent
    {
        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) =>
            SerializeToStreamAsync(stream, context, CancellationToken.None);

        protected override async Task SerializeToStreamAsync(
            Stream stream, TransportContext? context, CancellationToken cancellationToken)
        {
            await stream.WriteAsync("{"u8.ToArray(), cancellationToken);
            await stream.FlushAsync(cancellationToken);
            started();
            await Task.Delay(Timeout.Infinite, cancellationToken);
        }

        protected override bool TryComputeLength(out long computed)
        {
            computed = length;
            return true;
        }
    }
}
