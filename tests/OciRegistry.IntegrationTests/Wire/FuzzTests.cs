using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.RegularExpressions;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Wire;

/// <summary>
/// Valid requests with some of their bytes changed, on connections of their own: whatever arrives, the server answers or closes the
/// connection, fails at nothing, keeps nothing, and serves others.
/// </summary>
public sealed partial class FuzzTests(ITestOutputHelper output)
{
    private const int Workers = 8;
    private const long MostGrowth = 150L << 20;

    /// <summary>How long an answer may take, or the end of a connection on which nothing more is sent.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);

    /// <summary>How long an answer is waited for before nothing more is sent: a server may wait for the rest of a body.</summary>
    private static readonly TimeSpan AnswerTime = TimeSpan.FromMilliseconds(300);

    private static TimeSpan Duration => TimeSpan.FromSeconds(Counts.Of(ci: 15, full: 300));

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public async Task Whatever_bytes_arrive_the_server_fails_at_nothing_and_serves_others(bool hasLogins, bool isHttp2)
    {
        await using var accounts = await Accounts.CreateAsync();
        var (port, port2) = (FreePort.Next(), FreePort.Next());
        await using var server = await ServerProcess.StartAtAsync(
            [port],
            [
                $"Kestrel:Endpoints:One:Url=http://127.0.0.1:{port}",
                $"Kestrel:Endpoints:Two:Url=http://127.0.0.1:{port2}",
                "Kestrel:Endpoints:Two:Protocols=Http2",
                .. hasLogins ? accounts.Settings(Login.Basic) : ["OciRegistry:Operations:Admin=true"],
            ]);
        server.Http.DefaultRequestHeaders.Authorization = hasLogins ? Accounts.Alice.Basic : null;
        var requests = await FuzzRequests.OfAsync(server.Http, hasLogins ? Accounts.Alice.Basic.ToString() : null);
        var seed = Seed.Next(output);
        var ends = Stopwatch.StartNew();
        var half = 0L;
        var sent = await Task.WhenAll(Enumerable.Range(0, Workers).Select(async worker =>
        {
            var random = new Random(HashCode(seed, worker));
            var count = 0;
            for (; ends.Elapsed < Duration; count++)
            {
                var bytes = isHttp2 ? requests.NextHttp2(random) : requests.NextHttp1(random);
                Check(await ExchangeAsync(isHttp2 ? port2 : port, bytes), isHttp2, bytes, server);
                if (ends.Elapsed > Duration / 2)
                {
                    Interlocked.CompareExchange(ref half, ResidentBytes(server.Id), 0);
                }
            }

            return count;
        }));

        output.WriteLine($"{sent.Sum()} requests, {half >> 20} MiB of memory after half of the time, {ResidentBytes(server.Id) >> 20} MiB at its end");
        sent.Sum().ShouldBeGreaterThan(Workers * 10);
        (ResidentBytes(server.Id) - half).ShouldBeLessThan(MostGrowth, "memory stays flat");
        ErrorLine().Matches(server.Log).Select(line => line.Value).ShouldBeEmpty("nothing failed");
        var repository = $"team/after-{seed}";
        var manifest = await server.Http.PushImageAsync(repository, "v1");
        using var pulled = await server.Http.GetManifestAsync(repository, "v1");
        await pulled.ShouldBeContentAsync(Digest.Of(manifest), manifest);
        using var live = await server.Http.GetAsync(new Uri("/livez", UriKind.Relative));
        await live.ShouldHaveStatusAsync(HttpStatusCode.OK);
    }

    /// <summary>Sends all, then nothing more, and reads to the end of the connection, which must come.</summary>
    private static async Task<byte[]> ExchangeAsync(int port, byte[] bytes)
    {
        using var client = new TcpClient { NoDelay = true };
        using var patience = new CancellationTokenSource(Patience);
        var received = new MemoryStream();
        try
        {
            await client.ConnectAsync(IPAddress.Loopback, port, patience.Token);
            var stream = client.GetStream();
            await stream.WriteAsync(bytes, patience.Token);
            var buffer = new byte[64 * 1024];
            var first = stream.ReadAsync(buffer, patience.Token).AsTask();
            await Task.WhenAny(first, Task.Delay(AnswerTime, patience.Token));
            client.Client.Shutdown(SocketShutdown.Send);
            for (var read = await first; read > 0; read = await stream.ReadAsync(buffer, patience.Token))
            {
                received.Write(buffer.AsSpan(0, read));
            }
        }
        catch (Exception e) when (e is IOException or SocketException)
        {
            // Reset, which is an answer too: to bytes that the server does not read any more.
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException($"The connection does not end within {Patience} after {Shown(bytes)}");
        }

        return received.ToArray();
    }

    private static void Check(byte[] received, bool isHttp2, byte[] sent, ServerProcess server)
    {
        var text = Encoding.Latin1.GetString(received);
        StackTrace().IsMatch(text).ShouldBeFalse($"A stack trace in {text}\nto {Shown(sent)}");

        // 505 is HTTP's own answer to a version that is not HTTP/1.
        var failed = isHttp2
            ? FuzzFrames.StatusesIn(received).Where(status => status >= 500)
            : StatusLine().Matches(text).Select(line => int.Parse(line.Groups[1].Value, CultureInfo.InvariantCulture))
                .Where(status => status >= 500 && status != 505);
        failed.ShouldBeEmpty($"{text}\nto {Shown(sent)}\n{string.Join('\n', ErrorLine().Matches(server.Log).Select(line => line.Value))}");
    }

    private static long ResidentBytes(int process) => File.ReadLines($"/proc/{process}/status")
        .Where(line => line.StartsWith("VmRSS:", StringComparison.Ordinal))
        .Select(line => 1024 * long.Parse(line["VmRSS:".Length..^" kB".Length], CultureInfo.InvariantCulture))
        .Single();

    // HashCode.Combine is another one in each process.
    private static int HashCode(int seed, int worker) => unchecked((seed * 397) ^ worker);

    private static string Shown(byte[] bytes) => $"{Convert.ToBase64String(bytes)} (base64)";

    [GeneratedRegex(@"(?:^|\r\n\r\n)HTTP/1\.[01] (\d{3}) ")]
    private static partial Regex StatusLine();

    [GeneratedRegex(@"\n   at |\.cs:line \d|\bat [\w.]+\(.*\) in ")]
    private static partial Regex StackTrace();

    [GeneratedRegex(@"^.*(?: fail: | crit: |Unhandled exception|^   at ).*$", RegexOptions.Multiline)]
    private static partial Regex ErrorLine();
}
