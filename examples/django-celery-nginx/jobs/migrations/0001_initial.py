from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Run",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("task", models.CharField(max_length=100)),
                ("task_id", models.CharField(max_length=36)),
                ("worker", models.CharField(max_length=100)),
                ("ended", models.DateTimeField(auto_now_add=True)),
            ],
        ),
    ]
