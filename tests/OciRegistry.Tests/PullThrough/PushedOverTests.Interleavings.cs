using System.Net;
using OciRegistry.Tests.Faults;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.PullThrough;

/// <summary>One request stops at each of its calls to the storage in turn, while others run whole.</summary>
public sealed partial class PushedOverTests
{
    /// <summary>One hold only: the push stops at each of its calls, others run whole, the push ends last and must count.</summary>
    [Theory]
    [InlineData("delete-tag")]
    [InlineData("delete-digest")]
    [InlineData("delete-tag-and-digest")]
    [InlineData("failing-push")]
    [InlineData("sweep")]
    public async Task A_push_that_ends_last_counts_at_whichever_call_others_came(string other)
    {
        var bad = new List<string>();
        var stride = Counts.Of(ci: 6, full: 1);
        for (var stop = 1 + new Random(Seed.Next(output)).Next(stride); ; stop += stride)
        {
            var name = $"r{stop}";
            var theirs = _upstream.AddImage(name, "v1", RegistryClient.RandomBytes(1_000));
            (await Http.GetManifestAsync($"up/{name}", "v1")).StatusCode.ShouldBe(HttpStatusCode.OK);
            foreach (var blob in theirs.Layers.Append(theirs.Config))
            {
                (await Http.GetBlobAsync($"up/{name}", blob.Digest)).StatusCode.ShouldBe(HttpStatusCode.OK);
            }
            await UntilFetchedAsync();
            var (layer, content) = theirs.Layers[0];
            var config = "{}"u8.ToArray();
            await Http.PushBlobAsync($"up/{name}", config);
            var ours = RegistryClient.ImageManifest(config, [content]);
            var start = _registry.Plan.Journal.Count;
            var held = _registry.Plan.Hold(null, nth: stop);
            var push = Http.PutManifestAsync($"up/{name}", "v1", ours);
            await Until.DoneAsync(Task.WhenAny(push, held.Reached));
            if (push.IsCompleted || HasEnded(_registry.Plan.Journal.Skip(start).SkipLast(1)))
            {
                held.Release();
                break;
            }

            var at = _registry.Plan.Journal[^1];
            switch (other)
            {
                case "delete-tag":
                    (await Http.DeleteAsync($"/v2/up/{name}/manifests/v1")).Dispose();
                    break;
                case "delete-digest":
                    (await Http.DeleteAsync($"/v2/up/{name}/manifests/{Digest.Of(ours)}")).Dispose();
                    break;
                case "delete-tag-and-digest":
                    (await Http.DeleteAsync($"/v2/up/{name}/manifests/{Digest.Of(ours)}")).Dispose();
                    (await Http.DeleteAsync($"/v2/up/{name}/manifests/v1")).Dispose();
                    break;
                case "failing-push":
                    (await Http.PutManifestAsync($"up/{name}", "v1", RegistryClient.EmptyIndex(), MediaTypes.ImageIndex, h => h.TryAddWithoutValidation("If-Match", "\"sha256:" + new string('0', 64) + "\""))).Dispose();
                    break;
                case "sweep":
                    _time.Advance(ContentTtl * 2);
                    await Until.DoneAsync(SweepAsync());
                    break;
            }

            (await Http.GetManifestAsync($"up/{name}", "v1")).Dispose();
            (await Http.GetBlobAsync($"up/{name}", layer)).Dispose();
            await UntilFetchedAsync();
            held.Release();
            using var answer = await Until.DoneAsync(push);
            if (answer.StatusCode != HttpStatusCode.Created)
            {
                output.WriteLine($"{stop} {at}: {answer.StatusCode}");
                continue;
            }

            using var now = await Http.GetManifestAsync($"up/{name}", "v1");
            var digest = now.Headers.TryGetValues("Docker-Content-Digest", out var v) ? v.First() : $"{now.StatusCode}";
            _time.Advance(ContentTtl * 2);
            await Until.DoneAsync(SweepAsync());
            _upstream.Faults = _ => new UpstreamFault { Status = 500 };
            using var later = await Http.GetManifestAsync($"up/{name}", "v1");
            var after = later.Headers.TryGetValues("Docker-Content-Digest", out var w) ? w.First() : $"{later.StatusCode}";
            using var part = await Http.GetBlobAsync($"up/{name}", layer);
            _upstream.Faults = null;
            if (digest != Digest.Of(ours).ToString() || after != digest || part.StatusCode != HttpStatusCode.OK)
            {
                bad.Add($"{stop} {at}: now {digest} (theirs: {digest == theirs.Digest.ToString()}) after {after} layer {part.StatusCode}");
            }
        }

        bad.ShouldBeEmpty(string.Join('\n', bad));

        // The note of its tag is written when it begins and when it ends; after that it only deletes what is of no use any more.
        static bool HasEnded(IEnumerable<(StoreCall Call, string On)> calls) => calls.Count(call =>
            call.Call == StoreCall.DocumentWrite && call.On.EndsWith("/_resolved/v1", StringComparison.Ordinal)) == 2;
    }

    /// <summary>One actor stops at each of its calls, the others run whole: what is there in the end must hold together.</summary>
    [Theory]
    [InlineData("delete-tag", "push", false)]
    [InlineData("delete-tag", "push", true)]
    [InlineData("delete-tag", "pull,push", true)]
    [InlineData("delete-digest", "push", true)]
    [InlineData("delete-digest", "push,pull", false)]
    [InlineData("pull", "push", false)]
    [InlineData("pull", "push,delete-tag,push", false)]
    [InlineData("pull", "delete-tag", true)]
    [InlineData("pull", "delete-digest", true)]
    [InlineData("pull", "delete-digest,push", true)]
    [InlineData("sweep", "push", false)]
    [InlineData("sweep", "push,delete-tag,pull", false)]
    [InlineData("sweep", "push,delete-digest,push", false)]
    [InlineData("push", "delete-digest,pull", true)]
    [InlineData("push", "delete-tag", true)]
    [InlineData("push", "sweep,pull", false)]
    public async Task What_is_there_in_the_end_holds_together(string stopped, string others, bool isPushedBefore)
    {
        var bad = new List<string>();
        var stride = Counts.Of(ci: 12, full: 1);
        for (var stop = 1 + new Random(Seed.Next(output)).Next(stride); ; stop += stride)
        {
            var name = $"q{stop}";
            var theirs = _upstream.AddImage(name, "v1", RegistryClient.RandomBytes(1_000));
            (await Http.GetManifestAsync($"up/{name}", "v1")).Dispose();
            foreach (var blob in theirs.Layers.Append(theirs.Config))
            {
                (await Http.GetBlobAsync($"up/{name}", blob.Digest)).Dispose();
            }
            await UntilFetchedAsync();
            var (layer, content) = theirs.Layers[0];
            var config = "{}"u8.ToArray();
            await Http.PushBlobAsync($"up/{name}", config);
            var ours = RegistryClient.ImageManifest(config, [content]);
            if (isPushedBefore)
            {
                (await Http.PutManifestAsync($"up/{name}", "v1", ours)).StatusCode.ShouldBe(HttpStatusCode.Created);
            }
            var mid = _upstream.AddImage(name, "v1", RegistryClient.RandomBytes(1_000));
            _time.Advance(stopped == "sweep" ? ContentTtl * 2 : TimeSpan.FromMinutes(6));
            async Task ActAsync(string what)
            {
                switch (what)
                {
                    case "push":
                        var put = await Http.PutManifestAsync($"up/{name}", "v1", ours);
                        if (put.StatusCode == HttpStatusCode.NotFound)
                        {
                            await Http.PushBlobAsync($"up/{name}", content);
                            await Http.PushBlobAsync($"up/{name}", config);
                            put = await Http.PutManifestAsync($"up/{name}", "v1", ours);
                        }
                        break;
                    case "delete-tag": (await Http.DeleteAsync($"/v2/up/{name}/manifests/v1")).Dispose(); break;
                    case "delete-digest": (await Http.DeleteAsync($"/v2/up/{name}/manifests/{Digest.Of(ours)}")).Dispose(); break;
                    case "pull":
                        (await Http.GetManifestAsync($"up/{name}", "v1")).Dispose();
                        break;
                    case "sweep": _time.Advance(ContentTtl * 2); await SweepAsync(); break;
                }
            }

            var held = _registry.Plan.Hold(null, nth: stop);
            var actor = Task.Run(() => ActAsync(stopped));
            await Until.DoneAsync(Task.WhenAny(actor, held.Reached));
            if (actor.IsCompleted)
            {
                held.Release();
                break;
            }

            var at = _registry.Plan.Journal[^1];
            var rest = Task.Run(async () => { foreach (var what in others.Split(',')) { await ActAsync(what); } });
            await PassTimeUntilAsync(() => rest.IsCompleted || rest.Wait(200));
            held.Release();
            await Until.DoneAsync(rest);
            await Until.DoneAsync(actor);
            var list = await (await Http.RequestAsync("GET", $"/v2/up/{name}/tags/list")).Content.ReadAsStringAsync();
            using (var found = await Http.GetManifestAsync($"up/{name}", "v1"))
            {
                if (list.Contains("v1", StringComparison.Ordinal) && found.StatusCode != HttpStatusCode.OK)
                {
                    bad.Add($"{stop} {at}: listed and {found.StatusCode}");
                }
            }
            var next = _upstream.AddImage(name, "v1", RegistryClient.RandomBytes(1_000));
            _time.Advance(TimeSpan.FromMinutes(6));
            using var now = await Http.GetManifestAsync($"up/{name}", "v1");
            var digest = now.Header("Docker-Content-Digest");
            if (digest == next.Digest.ToString())
            {
                _upstream.ForgetCalls();
                (await Http.GetManifestAsync($"up/{name}", "v1")).Dispose();
                if (_upstream.Count("GET", "/manifests/v1") > 0)
                {
                    bad.Add($"{stop} {at}: follows, and is not cached");
                }
                continue;
            }
            if (digest != Digest.Of(ours).ToString())
            {
                bad.Add($"{stop} {at}: frozen at {(digest == theirs.Digest.ToString() ? "theirs" : digest == mid.Digest.ToString() ? "mid" : digest)}");
                continue;
            }
            for (var i = 0; i < 3; i++)
            {
                _time.Advance(ContentTtl * 2);
                await Until.DoneAsync(SweepAsync());
            }
            _upstream.Faults = _ => new UpstreamFault { Status = 500 };
            using var later = await Http.GetManifestAsync($"up/{name}", "v1");
            using var part = await Http.GetBlobAsync($"up/{name}", layer);
            _upstream.Faults = null;
            if (later.StatusCode != HttpStatusCode.OK || part.StatusCode != HttpStatusCode.OK)
            {
                bad.Add($"{stop} {at}: ours, later {later.StatusCode} layer {part.StatusCode}");
            }
        }

        bad.ShouldBeEmpty("\n" + string.Join('\n', bad));
    }
}
