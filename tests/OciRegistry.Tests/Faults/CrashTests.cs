using System.Net;
using OciRegistry.Tests.Support;
using OciRegistry.Uploads;

namespace OciRegistry.Tests.Faults;

/// <summary>
/// R4.4 in one process: the registry dies at every single call to its stores that a push makes, so that only the effects
/// of those before are there. Another one starts on what is left.
/// </summary>
public sealed class CrashTests(ITestOutputHelper output)
{
    private static readonly byte[] Content = RegistryClient.RandomBytes(20_000);
    private static readonly Digest ContentDigest = Digest.Of(Content);

    /// <summary>Ways to push the same blob. Each returns where the upload stood when the registry died, if it had begun.</summary>
    private static readonly Dictionary<string, Func<HttpClient, string, Action<string>, Task>> Pushes = new()
    {
        ["one request"] = async (http, repository, at) =>
        {
            var location = await StartAsync(http, repository, at);
            await CloseAsync(http, location, Content);
        },
        ["streamed, then closed"] = async (http, repository, at) =>
        {
            var location = await StartAsync(http, repository, at);
            await CloseAsync(http, await PatchAsync(http, location, Content, at), null);
        },
        ["two chunks, the last with the closing request"] = async (http, repository, at) =>
        {
            var location = await StartAsync(http, repository, at);
            location = await PatchAsync(http, location, Content[..9_000], at);
            await CloseAsync(http, location, Content[9_000..]);
        },
        ["streamed twice, then closed"] = async (http, repository, at) =>
        {
            var location = await StartAsync(http, repository, at);
            await PatchAsync(http, location, Content, at);
            await CloseAsync(http, await PatchAsync(http, location, Content, at), null);
        },
        ["in chunks, one of them twice"] = async (http, repository, at) =>
        {
            var first = await PatchAsync(http, await StartAsync(http, repository, at), Content[..9_000], at);
            await PatchAsync(http, first, Content[9_000..], at);
            await CloseAsync(http, await PatchAsync(http, first, Content[9_000..], at), null);
        },
        ["cancelled"] = async (http, repository, at) =>
        {
            var location = await PatchAsync(http, await StartAsync(http, repository, at), Content, at);
            (await http.DeleteAsync(location)).StatusCode.ShouldBe(HttpStatusCode.NoContent);
        },
        ["with the wrong digest"] = async (http, repository, at) =>
        {
            var location = await PatchAsync(http, await StartAsync(http, repository, at), Content[..5_000], at);
            using var refused = await http.CompleteAsync(location, ContentDigest.ToString());
            refused.StatusCode.ShouldBe(HttpStatusCode.BadRequest);
        },
    };

    public static TheoryData<string> Ways() => [.. Pushes.Keys];

    [Theory]
    [MemberData(nameof(Ways))]
    public async Task A_registry_that_dies_at_any_step_leaves_what_the_next_can_go_on_with(string push)
    {
        // Every third call, those that the seed says; all of them in the stress run.
        var crashes = 0;
        var stride = Counts.Of(ci: 3, full: 1);
        for (var step = 1 + new Random(Seed.Next(output)).Next(stride); await DiesAsync(push, step); step += stride)
        {
            crashes++;
        }

        crashes.ShouldBeGreaterThan(2);
    }

    private static async Task<bool> DiesAsync(string push, int step)
    {
        var what = $"'{push}' died at call {step}";
        var root = Directory.CreateTempSubdirectory("oci-registry-").FullName;
        try
        {
            string? location = null;
            var repository = RegistryClient.NewRepository();
            bool died;
            await using (var first = await FaultyRegistry.StartAsync(root: root))
            {
                first.Plan.DieIn(step);
                try
                {
                    await Pushes[push](first.Http, repository, at => location = at);
                }
                catch (Exception) when (first.Plan.IsDead)
                {
                    // A client whose registry has died sees anything or nothing.
                }

                died = first.Plan.IsDead;
                what += $" ({(died ? first.Plan.Journal[^1] : default)})";
            }

            var time = new ManualTimeProvider();
            await using var second = await FaultyRegistry.StartAsync(root: root, time: time);
            second.AssertBlobsAreWhole();
            await PushOnAsync(second, repository, location, what);
            second.AssertBlobsAreWhole();

            time.Advance(TimeSpan.FromDays(8));
            await second.SweepAsync();
            second.UploadFiles().ShouldBeEmpty(what);
            using var pulled = await second.Http.GetBlobAsync(repository, ContentDigest);
            await pulled.ShouldBeContentAsync(ContentDigest, Content);
            return died;
        }
        finally
        {
            Directory.Delete(root, recursive: true);
        }
    }

    /// <summary>What a client does: go on from where the session says that it stands, or start again when it is gone.</summary>
    private static async Task PushOnAsync(FaultyRegistry registry, string repository, string? location, string what)
    {
        var http = registry.Http;
        location ??= await http.NewUploadAsync(repository);
        using var status = await http.GetAsync(new Uri(location, UriKind.Relative));
        status.StatusCode.ShouldBeOneOf(HttpStatusCode.NoContent, HttpStatusCode.NotFound);
        if (status.StatusCode == HttpStatusCode.NoContent)
        {
            var session = (await registry.SessionAsync(location))!;
            var offset = (int)session.Progress;
            session.Progress.ShouldBeGreaterThanOrEqualTo(AcknowledgedBy(location), what);
            if (session.State == UploadState.Open && offset < Content.Length)
            {
                using var rest = await http.PatchAsync(location, Content[offset..], $"{offset}-{Content.Length - 1}");
                rest.StatusCode.ShouldBe(HttpStatusCode.Accepted, what);
            }

            using var closed = await http.CompleteAsync(location, ContentDigest.ToString());
            closed.StatusCode.ShouldBe(HttpStatusCode.Created, what);
            return;
        }

        using (var repeated = await http.CompleteAsync(location, ContentDigest.ToString()))
        {
            repeated.StatusCode.ShouldBeOneOf(HttpStatusCode.Created, HttpStatusCode.NotFound);
        }

        location = await http.NewUploadAsync(repository);
        using var created = await http.CompleteAsync(location, ContentDigest.ToString(), Content);
        created.StatusCode.ShouldBe(HttpStatusCode.Created, what);
    }

    private static long AcknowledgedBy(string location) => long.Parse(location.Split("offset=")[1], null);

    private static async Task<string> StartAsync(HttpClient http, string repository, Action<string> at)
    {
        using var started = await http.StartUploadAsync(repository);
        started.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        at(started.Headers.Location!.ToString());
        return started.Headers.Location!.ToString();
    }

    private static async Task<string> PatchAsync(HttpClient http, string location, byte[] bytes, Action<string> at)
    {
        using var patched = await http.PatchAsync(location, bytes);
        patched.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        at(patched.Headers.Location!.ToString());
        return patched.Headers.Location!.ToString();
    }

    private static async Task CloseAsync(HttpClient http, string location, byte[]? bytes)
    {
        using var created = await http.CompleteAsync(location, ContentDigest.ToString(), bytes);
        created.StatusCode.ShouldBe(HttpStatusCode.Created);
    }
}
