using System.Net;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Replicas;

/// <summary>R1.7: three replicas behind a balancer that knows nothing of HTTP are stopped and started again in turn.</summary>
public sealed class RollingRestartTests
{
    private const int LayerBytes = 4_000_000;

    /// <summary>None of these clients is started again: what it tries again by itself has to do.</summary>
    [Fact]
    public async Task No_push_and_no_pull_of_docker_skopeo_and_ctr_fails()
    {
        await using var dockerd = await DockerDaemon.StartAsync();
        await using var containerd = await ContainerDaemon.StartAsync();
        await using var folder = new TempFolder();
        var (skopeo, tar) = (Tool.Require("skopeo"), Tool.Require("tar"));
        await using var replicas = await ReplicaSet.StartAsync(Shared.AzureAndRedis, Balancer.Announce);
        await using var balancer = await Balancer.StartAsync(replicas);
        using var done = new CancellationTokenSource();
        Task<int>[] clients = [RepeatAsync(DockerAsync), RepeatAsync(SkopeoAsync), RepeatAsync(CtrAsync)];

        await RestartAllAsync(replicas, balancer);

        await done.CancelAsync();
        (await Task.WhenAll(clients)).ShouldAllBe(rounds => rounds > 0);
        await replicas.AssertContentIsWholeAsync();
        await replicas.AssertNoLockIsHeldAsync();

        Task<int> RepeatAsync(Func<int, Task> run) => RollingRestartTests.RepeatAsync(run, done.Token);

        async Task DockerAsync(int round)
        {
            var image = $"{balancer.Host}/docker:{round}";
            var context = folder.Create($"docker{round}");
            await File.WriteAllTextAsync(Path.Combine(context, "Dockerfile"), "FROM scratch\nCOPY layer /layer\n");
            await File.WriteAllBytesAsync(Path.Combine(context, "layer"), RegistryClient.RandomBytes(LayerBytes));
            await dockerd.Docker.RunAsync("build", "--quiet", "--tag", image, context);
            await dockerd.Docker.RunAsync("push", "--quiet", image);
            await dockerd.Docker.RunAsync("rmi", image);
            await dockerd.Docker.RunAsync("pull", "--quiet", image);
        }

        async Task SkopeoAsync(int round)
        {
            var layout = await LayoutAsync($"skopeo{round}");
            var image = $"docker://{balancer.Host}/skopeo:{round}";
            await skopeo.RunAsync("copy", "--dest-tls-verify=false", $"oci:{layout}:v1", image);
            await skopeo.RunAsync("copy", "--src-tls-verify=false", image, $"oci:{folder[$"back{round}"]}:v1");
            OciLayout.Digest(folder[$"back{round}"]).ShouldBe(OciLayout.Digest(layout));
        }

        async Task CtrAsync(int round)
        {
            var image = $"{balancer.Host}/ctr{round}";
            var layout = await LayoutAsync($"ctr{round}");
            await tar.RunAsync("--create", "--directory", layout, "--file", folder[$"ctr{round}.tar"], ".");
            await containerd.Ctr.RunAsync("images", "import", "--digests", "--base-name", image, folder[$"ctr{round}.tar"]);
            await containerd.Ctr.RunAsync("images", "push", "--plain-http", $"{image}:v1");
            await containerd.Ctr.RunAsync("images", "rm", "--sync", $"{image}:v1");
            await containerd.Ctr.RunAsync("images", "pull", "--plain-http", $"{image}:v1");
        }

        async Task<string> LayoutAsync(string name)
        {
            var (layout, layer) = (folder[name], folder[$"{name}.layer"]);
            await File.WriteAllBytesAsync(layer, RegistryClient.RandomBytes(LayerBytes));
            await OciLayout.CreateAsync(layout, "v1", (layer, "/layer"));
            return layout;
        }
    }

    /// <summary>What only the announcement is for: a replica that stops is sent nobody any more before it accepts nobody any more.</summary>
    [Fact]
    public async Task No_request_of_clients_that_try_nothing_again_fails()
    {
        await using var replicas = await ReplicaSet.StartAsync(Shared.FolderAndRedis, Balancer.Announce);
        await using var balancer = await Balancer.StartAsync(replicas);
        var repository = RegistryClient.NewRepository();
        await replicas.Any.Http.PushImageAsync(repository, "latest");
        using var done = new CancellationTokenSource();
        using var http = new HttpClient(new SocketsHttpHandler { PooledConnectionLifetime = TimeSpan.Zero, UseProxy = false }) // each on a connection of its own
        {
            BaseAddress = balancer.Http.BaseAddress,
        };
        var clients = Enumerable.Range(0, 8).Select(_ => Task.Run(() => RepeatAsync(
            async _ =>
            {
                using var pulled = await http.GetManifestAsync(repository, "latest");
                await pulled.ShouldHaveStatusAsync(HttpStatusCode.OK);
                var content = RegistryClient.RandomBytes(100);
                using var pushed = await http.StartUploadAsync(repository, $"?digest={Digest.Of(content)}", content);
                await pushed.ShouldHaveStatusAsync(HttpStatusCode.Created);
            },
            done.Token))).ToArray();

        await RestartAllAsync(replicas, balancer);

        await done.CancelAsync();
        (await Task.WhenAll(clients)).ShouldAllBe(rounds => rounds > 10);
    }

    [Theory]
    [MemberData(nameof(Sharing.WithRedis), MemberType = typeof(Sharing))]
    public async Task A_chunk_that_runs_at_the_deadline_is_recorded_then_reset_and_goes_on_at_another_replica(Shared shared)
    {
        await using var replicas = await ReplicaSet.StartAsync(shared, Balancer.Announce, "OciRegistry:Drain:Deadline=00:00:02");
        var repository = RegistryClient.NewRepository();
        var content = RegistryClient.RandomBytes(10_000_000);
        var location = await replicas[1].Http.NewUploadAsync(repository);
        await using var balancer = await Balancer.StartAsync(replicas);
        using var upload = await RawUpload.StartAsync(balancer.Http.BaseAddress!, "PATCH", location, content.Length);
        await upload.SendAsync(content.AsMemory(0, 4_000_000));
        var writer = await WriterAsync(replicas);

        await replicas[writer].StopAsync();

        (await upload.AnswerAsync()).ShouldBeEmpty();
        var offset = await balancer.Http.OffsetAsync(location);
        offset.ShouldBe(4_000_000);
        using var rest = await balancer.Http.CompleteAsync(
            location, Digest.Of(content).ToString(), content[offset..], $"{offset}-{content.Length - 1}");
        await rest.ShouldHaveStatusAsync(HttpStatusCode.Created);
        replicas[writer].Log.ShouldContain("the requests that still run, 1 of them, are ended");
        await replicas[writer].RestartAsync();
        await replicas.ShouldServeAsync(repository, content);
        await replicas.AssertNoLockIsHeldAsync();
    }

    private static async Task RestartAllAsync(ReplicaSet replicas, Balancer balancer)
    {
        for (var i = 0; i < replicas.Count * Counts.Of(ci: 1, full: 10); i++)
        {
            var (replica, before) = (i % replicas.Count, i / replicas.Count);
            await replicas[replica].StopAsync();
            await balancer.UntilSaidAsync(replica, "is DOWN", before + 1);
            await replicas[replica].RestartAsync();
            await balancer.UntilSaidAsync(replica, "is UP", before + 1);
        }
    }

    private static async Task<int> RepeatAsync(Func<int, Task> run, CancellationToken done)
    {
        var rounds = 0;
        while (!done.IsCancellationRequested || rounds == 0)
        {
            await run(rounds++);
        }

        return rounds;
    }

    /// <summary>Which replica has got the connection, once it has taken all that was sent.</summary>
    private static async Task<int> WriterAsync(ReplicaSet replicas)
    {
        var writer = -1;
        await Until.TrueAsync(
            async () =>
            {
                for (var i = 0; i < replicas.Count && writer < 0; i++)
                {
                    writer = await replicas[i].Http.ReceivedBytesAsync() == 4_000_000 ? i : -1;
                }

                return writer >= 0;
            },
            "a replica has taken all that was sent");
        return writer;
    }
}
