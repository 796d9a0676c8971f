using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;
using OciRegistry.Server;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Server;

public sealed class StoppingTests
{
    [Fact]
    public async Task It_ends_with_0_once_nothing_runs_any_more()
    {
        await using var server = ServerProcess.Start("--urls=http://127.0.0.1:0 --OciRegistry:Drain:Deadline=00:05:00");
        using var http = new HttpClient { BaseAddress = await server.UntilListeningAsync() };
        using var upload = await SendHalfAsync(http);

        server.Terminate();
        await server.UntilLineThatHasAsync("Stopping: the requests that run, 1 of them, may go on for 00:05:00.");
        await upload.SendAsync(new byte[500]);

        (await upload.StatusAsync()).ShouldBe(202);
        (await server.UntilExitAsync()).ShouldBe((0, ""));
    }

    [Fact]
    public async Task Who_interrupts_it_again_waits_for_no_deadline()
    {
        await using var server = ServerProcess.Start("--urls=http://127.0.0.1:0 --OciRegistry:Drain:Deadline=00:05:00");
        using var http = new HttpClient { BaseAddress = await server.UntilListeningAsync() };
        using var upload = await SendHalfAsync(http);

        server.Interrupt();
        await server.UntilLineThatHasAsync("Stopping: the requests that run, 1 of them");
        server.Interrupt();

        (await upload.AnswerAsync()).ShouldBeEmpty();
        (await server.UntilExitAsync()).ShouldBe((0, ""));
        server.Output.ShouldContain("the requests that still run, 1 of them, are ended");
    }

    [Fact]
    public void The_host_waits_longer_than_the_requests_may_go_on()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Services.AddOciRegistry(registry => registry.Configure(options =>
            (options.Drain.Announce, options.Drain.Deadline) = (TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(45))));

        Stopping.Configure(builder);

        using var services = builder.Services.BuildServiceProvider();
        services.GetRequiredService<IOptions<HostOptions>>().Value.ShutdownTimeout
            .ShouldBe(TimeSpan.FromSeconds(55) + Stopping.RecordTime);
    }

    /// <summary>Returns once the server has begun to read.</summary>
    private static async Task<RawUpload> SendHalfAsync(HttpClient http)
    {
        var location = await http.NewUploadAsync(RegistryClient.NewRepository());
        var upload = await RawUpload.StartAsync(http.BaseAddress!, "PATCH", location, 1_000);
        await upload.SendAsync(new byte[500]);
        await Until.TrueAsync(async () => await http.ReceivedBytesAsync() == 500, "the half has arrived");
        return upload;
    }
}
