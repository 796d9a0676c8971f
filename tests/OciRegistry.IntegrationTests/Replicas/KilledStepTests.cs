using System.Net;
using System.Text.RegularExpressions;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Replicas;

/// <summary>
/// R1.1, R1.3, R4.4 with three processes: one is killed (SIGKILL) before each single call to the system that changes
/// anything on the disk while it answers a request, and the client repeats that request to another. strace counts the
/// calls of each thread by name, so the one that is killed has a single thread for all of its work.
/// </summary>
public sealed partial class KilledStepTests(ITestOutputHelper output)
{
    private const int Victim = 0;
    private const string Changes =
        "write,pwrite64,pwritev,fsync,fdatasync,sync_file_range,ftruncate,fallocate,rename,renameat,renameat2,link,linkat,"
        + "unlink,unlinkat,mkdir,mkdirat,rmdir,flock,utimensat";

    private static readonly byte[] Config = RegistryClient.RandomBytes(64);

    /// <summary>The requests: each is prepared with the others' help and gives what to send, twice if need be.</summary>
    internal static readonly Dictionary<string, Func<HttpClient, string, byte[], Task<Func<HttpClient, Task>>>> Requests = new()
    {
        ["PATCH"] = async (http, repository, content) =>
        {
            var location = await http.NewUploadAsync(repository);
            return async to =>
            {
                using var patched = await to.PatchAsync(location, content, chunked: true);
                await patched.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
                await CloseAsync(http, patched.Headers.Location!.ToString(), content, null);
            };
        },
        ["closing PUT"] = async (http, repository, content) =>
        {
            using var patched = await http.PatchAsync(await http.NewUploadAsync(repository), content, chunked: true);
            var location = patched.Headers.Location!.ToString();
            return to => CloseAsync(to, location, content, null);
        },
        ["PUT with a body"] = async (http, repository, content) =>
        {
            var location = await http.NewUploadAsync(repository);
            return to => CloseAsync(to, location, content, content);
        },
        ["PUT of a manifest"] = async (http, repository, content) =>
        {
            await http.PushBlobAsync(repository, Config);
            await http.PushBlobAsync(repository, content);
            var manifest = RegistryClient.ImageManifest(Config, [content]);
            return async to =>
            {
                using var put = await to.PutManifestAsync(repository, "latest", manifest);
                await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
                using var pulled = await http.GetManifestAsync(repository, "latest");
                (await pulled.Content.ReadAsByteArrayAsync()).ShouldBe(manifest);
            };
        },
    };

    [Theory]
    [InlineData("PATCH", true)]
    [InlineData("closing PUT", true)]
    [InlineData("closing PUT", false)]
    [InlineData("PUT with a body", false)]
    [InlineData("PUT of a manifest", true)]
    public async Task A_request_whose_server_is_killed_at_any_step_succeeds_when_it_is_repeated(string request, bool withRedis)
    {
        await using var replicas = await ReplicaSet.StartAsync(withRedis ? Shared.FolderAndRedis : Shared.Folder);
        await SendAsync(replicas, request, null); // makes the folders that the first of its kind has to make
        var (_, steps) = await SendAsync(replicas, request, null);
        var killed = 0;
        for (var i = 0; i < steps.Count; i += Counts.Of(ci: 5, full: 1))
        {
            output.WriteLine($"{request}, killed before its {steps[i].Nth}. {steps[i].Call}");
            killed += (await SendAsync(replicas, request, steps[i])).Died ? 1 : 0;
        }

        // Which folders it has to make depends on what is there already.
        output.WriteLine($"{killed} times in {steps.Count} steps");
        killed.ShouldBeGreaterThanOrEqualTo(Counts.Of(ci: 1, full: steps.Count * 3 / 4));
        await replicas.AssertContentIsWholeAsync();
        await replicas.AssertNoLockIsHeldAsync();
    }

    /// <summary>Sends a request to the victim, and again to another when it dies at <paramref name="kill"/>.</summary>
    /// <returns>Whether it died, and the calls that the first made.</returns>
    private static async Task<(bool Died, List<Step> Steps)> SendAsync(ReplicaSet replicas, string request, Step? kill)
    {
        await replicas[Victim].KillAsync();
        await replicas.StartAsync(
            Victim, Tool.Require("env").With("DOTNET_PROCESSOR_COUNT=1", "DOTNET_ThreadPool_ForceMaxWorkerThreads=1"));
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(200_000);
        var send = await Requests[request](replicas[1].Http, repository, content);

        await using var folder = new TempFolder();
        var strace = Tool.Require("strace").With("-f", "-p", $"{replicas[Victim].Id}", "-o", folder["trace"]);
        strace = kill is null
            ? strace.With("-e", $"trace={Changes}")
            : strace.With("-e", $"inject={kill.Call}:signal=KILL:when={kill.Nth}");
        bool died;
        await using (var tracing = strace.Start())
        {
            await tracing.WaitUntilReadyAsync(() => Task.FromResult(tracing.Log.Contains("attached", StringComparison.Ordinal)));
            died = await DiesAsync(() => send(replicas[Victim].Http));
            if (died)
            {
                await tracing.KillAsync(); // it does not end with what it has killed
            }
        }

        if (died)
        {
            await replicas.AssertContentIsWholeAsync();
            await send(replicas[2].Http);
        }

        using var pulled = await replicas[1].Http.GetBlobAsync(repository, Digest.Of(content));
        await pulled.ShouldBeContentAsync(Digest.Of(content), content);
        (await replicas.Storage.SessionsAsync()).ShouldBeEmpty();
        (await replicas.Storage.UnusedAsync()).ShouldBeEmpty();
        return (died, StepsOf(folder["trace"]));
    }

    private static async Task<bool> DiesAsync(Func<Task> send)
    {
        try
        {
            await send();
            return false;
        }
        catch (HttpRequestException)
        {
            return true;
        }
    }

    private static async Task CloseAsync(HttpClient http, string location, byte[] content, byte[]? body)
    {
        using var closed = await http.CompleteAsync(location, Digest.Of(content).ToString(), body);
        await closed.ShouldHaveStatusAsync(HttpStatusCode.Created);
    }

    private static List<Step> StepsOf(string trace)
    {
        var nth = new Dictionary<string, int>();
        return
        [
            .. File.ReadLines(trace)
                .Select(line => TracedCall().Match(line))
                .Where(match => match.Success)
                .Select(match => match.Groups[1].Value)
                .Select(call => new Step(call, nth[call] = nth.GetValueOrDefault(call) + 1)),
        ];
    }

    [GeneratedRegex(@"^\d+ +(\w+)\(")]
    private static partial Regex TracedCall();

    /// <summary>The <paramref name="Nth"/> call of this name that a thread makes: so strace counts.</summary>
    private sealed record Step(string Call, int Nth);
}
