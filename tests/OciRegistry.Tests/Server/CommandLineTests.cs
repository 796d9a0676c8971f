using OciRegistry.Server;

namespace OciRegistry.Tests.Server;

public sealed class CommandLineTests
{
    [Theory]
    [InlineData("--OciRegistry:ReadOnly=true", "--OciRegistry:ReadOnly=true")]
    [InlineData("--OciRegistry:ReadOnly true", "--OciRegistry:ReadOnly=true")]
    [InlineData("--OciRegistry:Wrong=1", "--OciRegistry:Wrong=1")] // the check of the settings says so
    [InlineData("--urls http://*:80 --OciRegistry:ReadOnly=a=b", "--urls=http://*:80 --OciRegistry:ReadOnly=a=b")]
    [InlineData("--Urls=", "--Urls=")]
    [InlineData("--Kestrel:Endpoints:Http:Url=http://*:80", "--Kestrel:Endpoints:Http:Url=http://*:80")]
    [InlineData("--Logging:LogLevel:Default=Debug", "--Logging:LogLevel:Default=Debug")]
    [InlineData("--environment=Development", "--environment=Development")]
    [InlineData("", "")]
    public void Settings_are_taken(string line, string settings)
    {
        var commandLine = Parse(line);

        commandLine.Problems.ShouldBeEmpty();
        string.Join(' ', commandLine.Settings).ShouldBe(settings);
        commandLine.Answer.ShouldBeNull();
    }

    [Theory]
    [InlineData("--port 8080", "--port is no option. Use --urls=http://127.0.0.1:PORT.")]
    [InlineData("--shutdownTimeoutSeconds=5", "--shutdownTimeoutSeconds is no option. Use --OciRegistry:Drain:Deadline=00:00:20.")]
    [InlineData("--port=8080", "--port is no option. Use --urls=http://127.0.0.1:PORT.")]
    [InlineData("-p 8080", "-p is no option. Use --urls=http://127.0.0.1:PORT.")]
    [InlineData("--data-dir /data", "--data-dir is no option. Use --OciRegistry:Storage:FileSystem:Root=FOLDER.")]
    [InlineData("--Root=/data", "--Root is no option. Use --OciRegistry:Storage:FileSystem:Root=FOLDER.")]
    [InlineData("--Deletes:Enabled=false", "--Deletes:Enabled is no option. Use --OciRegistry:Deletes:Enabled=VALUE.")]
    [InlineData("--MaxBlobSize=1", "--MaxBlobSize is no option. Use --OciRegistry:Uploads:MaxBlobSize=VALUE.")]
    [InlineData("--OciRegistry__ReadOnly=1", "--OciRegistry__ReadOnly is no option. Use --OciRegistry:ReadOnly=VALUE.")]
    [InlineData("--OciRegisty:ReadOnly=1", "--OciRegisty:ReadOnly is no option. Use --OciRegistry:ReadOnly=VALUE.")]
    [InlineData("--url http://*:80", "--url is no option. Use --urls=http://127.0.0.1:PORT.")]
    [InlineData("--ulrs http://*:80", "--ulrs is no option. Use --urls=VALUE.")]
    [InlineData("--frobnicate", "--frobnicate is no option.")]
    [InlineData("--OciRegistry:ReadOnly", "--OciRegistry:ReadOnly has no value. Write --OciRegistry:ReadOnly=VALUE.")]
    [InlineData("--urls --environment=X", "--urls has no value. Write --urls=VALUE.")]
    [InlineData("serve", "Argument 1 on the command line is no option. Write settings as --NAME=VALUE.")]
    [InlineData("urls=http://*:80", "Argument 1 on the command line is no option. Write settings as --NAME=VALUE.")]
    [InlineData("/urls=http://*:80", "Argument 1 on the command line is no option. Write settings as --NAME=VALUE.")]
    [InlineData("--", "-- is no option.")]
    public void What_is_no_setting_is_answered_with_what_to_write(string line, string problem) =>
        Parse(line).Problems.ShouldBe([problem]);

    [Fact]
    public void What_is_no_setting_is_kept_from_the_framework() =>
        Parse("-x=1 --port=2 serve --urls=http://*:80 --environment").Settings.ShouldBe(["--urls=http://*:80"]);

    [Fact]
    public void Values_are_not_repeated()
    {
        foreach (var line in (string[])["--password=hunter2", "--password hunter2", "-p hunter2", "hunter2"])
        {
            Parse(line).Problems.ShouldHaveSingleItem().ShouldNotContain("hunter2");
        }
    }

    [Theory]
    [InlineData("--help")]
    [InlineData("-h")]
    [InlineData("--urls=http://*:80 --help")]
    public void Help_is_given_when_it_is_asked_for_anywhere(string line) =>
        Parse(line).Answer.ShouldNotBeNull().ShouldContain("OciRegistry:Uploads:IdleExpiry");

    [Fact]
    public void The_version_is_one_line() => Parse("--version").Answer.ShouldNotBeNull().ShouldMatch(@"^OciRegistry \d+\.\d+\.\d+\S*$");

    private static CommandLine Parse(string line) =>
        CommandLine.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries));
}
